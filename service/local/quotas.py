"""How often the Step Functions API may be called: one token bucket per action.

Source: AWS Step Functions Developer Guide, "Step Functions service quotas", "Quotas related to API action throttling",
the values of US East (N. Virginia).
"""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Quota(NamedTuple):
    """A bucket's size in calls, and the calls that flow back into it in a second."""

    size: float
    refill: float


AWS_QUOTAS: Final[Mapping[str, Quota]] = MappingProxyType(
    {
        "StartExecution": Quota(1300, 300),
        "DescribeExecution": Quota(300, 15),
        "GetExecutionHistory": Quota(400, 20),
        "ListExecutions": Quota(200, 5),
        "StopExecution": Quota(1000, 200),
        "DescribeStateMachine": Quota(200, 20),
        "ListStateMachines": Quota(100, 5),
    }
)
"""What AWS grants an account that has asked for nothing more."""


class Quotas:
    """The buckets of one account, full at first; an action without a quota is never throttled."""

    def __init__(self, quotas: Mapping[str, Quota]) -> None:
        self._quotas = quotas
        self._levels = {action: (quota.size, time.monotonic()) for action, quota in quotas.items()}

    def take(self, action: str) -> bool:
        """Take one token out of the action's bucket; False when there is none."""
        if action not in self._quotas:
            return True
        quota, (level, before), now = self._quotas[action], self._levels[action], time.monotonic()
        level = min(quota.size, level + (now - before) * quota.refill)
        granted = level >= 1
        self._levels[action] = (level - granted, now)
        return granted

"""Quotas of the Step Functions API: one token bucket per action.

Source: AWS Step Functions Developer Guide, "Step Functions service quotas", "Quotas related to API action throttling",
the values of US East (N. Virginia). service/stepfunctions/token_bucket.py has three of them too: this package checks
that client, so both must not share one wrong number.
"""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class ActionQuota(NamedTuple):
    """The quota of one API action."""

    size: float
    """Calls that a full bucket holds."""
    refill: float
    """Calls that flow back into it each second."""


AWS_QUOTAS: Final[Mapping[str, ActionQuota]] = MappingProxyType(
    {
        "StartExecution": ActionQuota(1300, 300),
        "DescribeExecution": ActionQuota(300, 15),
        "GetExecutionHistory": ActionQuota(400, 20),
        "ListExecutions": ActionQuota(200, 5),
        "StopExecution": ActionQuota(1000, 200),
        "RedriveExecution": ActionQuota(1300, 300),
        "DescribeStateMachine": ActionQuota(200, 20),
        "ListStateMachines": ActionQuota(100, 5),
    }
)
"""What AWS grants an account that has asked for nothing more."""


class Quotas:
    """The buckets of one account, full at first; an action without a quota is never throttled."""

    def __init__(self, quotas: Mapping[str, ActionQuota]) -> None:
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

"""The budgets of all calls that read the record: quotas belong to the account, so all state machines share them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from service.stepfunctions.budget import Budget
from service.stepfunctions.token_bucket import (
    DESCRIBE_EXECUTION_QUOTA,
    GET_EXECUTION_HISTORY_QUOTA,
    LIST_EXECUTIONS_QUOTA,
    Quota,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from service.stepfunctions.token_bucket import TokenBucket

REFUSED_S: Final = 10.0
"""Seconds for which a read that was refused, for want of a permission, is not made if the other one can be."""


class ReadBudgets:
    """Budgets of DescribeExecution, GetExecutionHistory and ListExecutions.

    The first two show how an execution ended, each with its own quota.
    """

    def __init__(
        self,
        *,
        describe: Quota = DESCRIBE_EXECUTION_QUOTA,
        history: Quota = GET_EXECUTION_HISTORY_QUOTA,
        list_: Quota = LIST_EXECUTIONS_QUOTA,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.describe = Budget(describe, clock)
        self.history = Budget(history, clock)
        self.list = Budget(list_, clock)
        self._clock = clock
        self._refused_until: dict[Budget, float] = {}

    @property
    def buckets(self) -> dict[str, TokenBucket]:
        """The bucket of each quota, by action."""
        return {
            "DescribeExecution": self.describe.bucket,
            "GetExecutionHistory": self.history.bucket,
            "ListExecutions": self.list.bucket,
        }

    def claim(self, *, spare: bool = False, redriven: bool = False) -> Budget | None:
        """Take a token for one read of an outcome from either quota; None if both are used up.

        With `spare`, half of each quota is left for other reads. For an execution that was `redriven` only the call
        counts that shows how often.
        """
        for budget in self._usable(redriven=redriven):
            if budget.bucket.take(_reserve(budget, spare)):
                return budget
        return None

    def seconds_to_wait(self, *, spare: bool = False, redriven: bool = False) -> float:
        """Return the seconds until `claim` may succeed; 0 if now."""
        usable = self._usable(redriven=redriven)
        return min(budget.bucket.seconds_to_wait(_reserve(budget, spare)) for budget in usable)

    def claim_instead(self, refused: Budget) -> Budget | None:
        """Take a token from the other quota, because a call was just refused; None if there is none."""
        self._refused_until[refused] = self._clock() + REFUSED_S
        other = self.claim()
        return None if other is refused else other

    async def claim_history(self) -> None:
        """Take a token for a history that no result depends on, once half of the quota is left for other reads."""
        reserve = _reserve(self.history, spare=True)
        while not self.history.bucket.take(reserve):  # noqa: ASYNC110 - a bucket has no event to wait for
            await asyncio.sleep(self.history.bucket.seconds_to_wait(reserve))

    def _usable(self, *, redriven: bool = False) -> Sequence[Budget]:
        """Return the budgets of the two calls without one that was just refused, unless both were."""
        if redriven:
            return (self.describe,)
        budgets = (self.describe, self.history)
        usable = [budget for budget in budgets if self._clock() >= self._refused_until.get(budget, 0.0)]
        return usable or budgets


def _reserve(budget: Budget, spare: bool) -> float:
    size = budget.bucket.size
    return min(size / 2, size - 1) if spare else 0.0

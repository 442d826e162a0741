"""A reader of Step Functions' record of executions that stays within the account's API quotas."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from service.errors import Refused, Throttled, UnknownExecution
from service.stepfunctions.budget import Budget
from service.stepfunctions.token_bucket import (
    DESCRIBE_EXECUTION_QUOTA,
    GET_EXECUTION_HISTORY_QUOTA,
    LIST_EXECUTIONS_QUOTA,
    Quota,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from service.stepfunctions.client import Execution, Page, StepFunctionsClient
    from service.stepfunctions.outcomes import Outcome
    from service.stepfunctions.token_bucket import TokenBucket

REFUSED_S: Final = 10.0
"""Seconds for which a read that was refused, for want of a permission, is not made if the other one can be."""

PAGE_TOKEN_TIMEOUT_S: Final = 0.5
"""Seconds that a listing may wait for its token. If the wait would be longer, reading executions singly is faster."""

RECOVERY_READ_TIMEOUT_S: Final = 2.0
"""Seconds that one read for recovery may take."""

UNKNOWN_RETRY_DELAYS_S: Final = (0.2, 0.6)
"""Pauses in seconds before an unknown execution is read again.

The record is eventually consistent ("DescribeExecution", AWS Step Functions API Reference), and a URL that was just
handed out must be found.
"""

EXISTING_RETRY_DELAYS_S: Final = (*UNKNOWN_RETRY_DELAYS_S, 1.0, 2.0)
"""The same for an execution that is known to exist."""


class RecordReader:
    """Reads records for callers, first come, first served, and outcomes for recovery with the tokens that are left.

    Two calls show how an execution ended, each with its own quota: DescribeExecution, and GetExecutionHistory for the
    newest event.
    """

    def __init__(
        self,
        client: StepFunctionsClient,
        *,
        describe: Quota = DESCRIBE_EXECUTION_QUOTA,
        history: Quota = GET_EXECUTION_HISTORY_QUOTA,
        list_: Quota = LIST_EXECUTIONS_QUOTA,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._clock = clock
        self._refused_until: dict[Budget, float] = {}
        self.describe_budget = Budget(describe, clock)
        self.history_budget = Budget(history, clock)
        self.list_budget = Budget(list_, clock)

    @property
    def buckets(self) -> dict[str, TokenBucket]:
        """The bucket of each quota, by action."""
        return {
            "DescribeExecution": self.describe_budget.bucket,
            "GetExecutionHistory": self.history_budget.bucket,
            "ListExecutions": self.list_budget.bucket,
        }

    async def describe(self, execution_id: str, *, guess: bool = False, exists: bool = False) -> Execution:
        """Read one record for a caller, with more retries if the execution certainly exists.

        An id that may be a `guess`, as this service did not make it, is read within the share of the quota that guesses
        have. Every id is called unknown only after several reads: another instance may just have handed it out.
        Raise UnknownExecution, Throttled, or what `StepFunctionsClient.describe` raises.
        """
        for delay in EXISTING_RETRY_DELAYS_S if exists else UNKNOWN_RETRY_DELAYS_S:
            try:
                return await self._describe(execution_id, guess=guess)
            except UnknownExecution:
                await asyncio.sleep(delay)
        return await self._describe(execution_id, guess=guess)

    async def _describe(self, execution_id: str, *, guess: bool) -> Execution:
        return await self.describe_budget.run(lambda: self._client.describe(execution_id), execution_id, guess=guess)

    def seconds_to_wait(self, *, spare: bool = False) -> float:
        """Return the seconds until `claim` may succeed; 0 if now."""
        return min(budget.bucket.seconds_to_wait(_reserve(budget, spare)) for budget in self._usable())

    def claim(self, *, spare: bool = False) -> Budget | None:
        """Take a token for one call of `outcome` from either quota; None if both are used up.

        With `spare`, half of each quota is left for other reads.
        """
        for budget in self._usable():
            if budget.bucket.take(_reserve(budget, spare)):
                return budget
        return None

    def _usable(self) -> Sequence[Budget]:
        """Return the budgets of the two calls without one that was just refused, unless both were."""
        budgets = (self.describe_budget, self.history_budget)
        usable = [budget for budget in budgets if self._clock() >= self._refused_until.get(budget, 0.0)]
        return usable or budgets

    async def outcome(self, execution_id: str, claimed: Budget) -> Outcome | None:
        """Read how an execution ended, by the call whose token was claimed; None if it is running.

        There is one attempt only, to spare an account that is throttled; if this call is refused, the other one is
        made instead. Raise Throttled, UnknownExecution, or the like.
        """
        try:
            return await self._outcome(execution_id, claimed)
        except Refused:
            self._refused_until[claimed] = self._clock() + REFUSED_S
            other = self.claim()
            if other is None or other is claimed:
                raise
            return await self._outcome(execution_id, other)

    async def _outcome(self, execution_id: str, claimed: Budget) -> Outcome | None:
        if claimed is self.history_budget:
            read = self._client.outcome_from_history(execution_id, timeout=RECOVERY_READ_TIMEOUT_S)
            return await claimed.spend(read)
        record = self._client.describe(execution_id, timeout=RECOVERY_READ_TIMEOUT_S, retry=False)
        return (await claimed.spend(record)).outcome

    async def confirm(self, execution_id: str) -> Outcome | None:
        """Read how an execution that may not exist has ended; None if it is running.

        One outage can leave thousands of starts in doubt, so these reads keep to the quotas too. Raise
        UnknownExecution, Throttled, or the like.
        """
        claimed = self.claim()
        if claimed is None:
            raise Throttled("The API quota for reading executions is used up.", execution_id=execution_id)
        return await self.outcome(execution_id, claimed)

    async def page(self, next_token: str | None) -> Page:
        """List up to 1,000 executions, newest first; raise Throttled, or what `StepFunctionsClient.list` raises."""
        return await self.list_budget.run(
            lambda: self._client.list(next_token=next_token, timeout=RECOVERY_READ_TIMEOUT_S, retry=False),
            timeout=PAGE_TOKEN_TIMEOUT_S,
        )


def _reserve(budget: Budget, spare: bool) -> float:
    size = budget.bucket.size
    return min(size / 2, size - 1) if spare else 0.0

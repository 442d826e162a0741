"""Step Functions' record of executions, read within the account's quotas."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from service.errors import Throttled, UnknownExecution
from service.stepfunctions.token_bucket import (
    DESCRIBE_EXECUTION,
    GET_EXECUTION_HISTORY,
    LIST_EXECUTIONS,
    Quota,
    TokenBucket,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from service.stepfunctions.client import Execution, Page, StepFunctionsClient
    from service.stepfunctions.outcomes import Outcome

T = TypeVar("T")

TURN_WITHIN: Final = 3.0
"""Seconds that a caller's own reading waits for its turn; later than that it is told to come back."""

READ_TIMEOUT: Final = 2.0
"""Seconds that one reading for recovery may take."""

READ_AGAIN: Final = (0.2, 0.6)
"""Pauses in seconds before an unknown execution is asked for again: the record is eventually consistent
("DescribeExecution", AWS Step Functions API Reference), and a URL that was just handed out must be found."""


READ_AGAIN_IF_EXISTS: Final = (*READ_AGAIN, 1.0, 2.0)
"""The same for one of which Step Functions has just said that it exists."""


class RecordReader:
    """Reads outcomes: for callers in the order in which they come, for recovery with what they leave.

    Two calls tell how an execution ended, each with a quota of its own: DescribeExecution, and the newest event of
    GetExecutionHistory.
    """

    def __init__(
        self,
        workflows: StepFunctionsClient,
        *,
        describe: Quota = DESCRIBE_EXECUTION,
        history: Quota = GET_EXECUTION_HISTORY,
        list_: Quota = LIST_EXECUTIONS,
    ) -> None:
        self._workflows = workflows
        self.describing = TokenBucket(describe)
        self.history = TokenBucket(history)
        self.listing = TokenBucket(list_)

    @property
    def buckets(self) -> dict[str, TokenBucket]:
        """What is left of each quota, by action."""
        return {
            "DescribeExecution": self.describing,
            "GetExecutionHistory": self.history,
            "ListExecutions": self.listing,
        }

    async def describe(self, execution_id: str, *, exists: bool = False) -> Execution:
        """Read one record for a caller, more patiently if it is known that the execution exists.

        Raise UnknownExecution, Throttled, or what `StepFunctionsClient.describe` raises.
        """
        for pause in READ_AGAIN_IF_EXISTS if exists else READ_AGAIN:
            try:
                return await self._describe(execution_id)
            except UnknownExecution:
                # An id that nobody has may be a stranger's guess; it does not get what recovery may need. But one that
                # was just handed out must not be called unknown, and one reading cannot tell them apart.
                if not exists and self.describing.level < self.describing.size / 2:
                    raise Throttled(
                        "Not enough API quota left to look up this execution; try again later.",
                        execution_id=execution_id,
                    ) from None
                await asyncio.sleep(pause)
        return await self._describe(execution_id)

    async def _describe(self, execution_id: str) -> Execution:
        pause = self.describing.reserve(TURN_WITHIN)
        if pause is None:
            wait = self.describing.wait()
            raise Throttled(
                "The API quota for reading executions is used up.", execution_id=execution_id, retry_after=wait
            )
        if pause:
            await asyncio.sleep(pause)
        return await self._counted(self.describing, self._workflows.describe(execution_id))

    def wait(self) -> float:
        """Tell in how many seconds there may be something to `claim`; 0 if now."""
        return min(self.describing.wait(), self.history.wait())

    def claim(self) -> TokenBucket | None:
        """Take the right to call `outcome` once, from whichever quota has something left; None if neither has."""
        for bucket in (self.describing, self.history):
            if bucket.take():
                return bucket
        return None

    async def outcome(self, execution_id: str, claimed: TokenBucket) -> Outcome | None:
        """Read how an execution ended by the call that was claimed; None if it runs.

        One try, so that a throttled account is not pressed: raise Throttled, UnknownExecution, or the like.
        """
        if claimed is self.history:
            return await self._counted(claimed, self._workflows.ended(execution_id, timeout=READ_TIMEOUT))
        read = self._workflows.describe(execution_id, timeout=READ_TIMEOUT, retry=False)
        return (await self._counted(claimed, read)).outcome

    async def confirm(self, execution_id: str) -> Outcome | None:
        """Read how an execution ended that may not exist, None if it runs; raise UnknownExecution, Throttled, etc.

        Starts are left in doubt by the thousand, so these readings keep to the quotas like all others.
        """
        claimed = self.claim()
        if claimed is None:
            raise Throttled("The API quota for reading executions is used up.", execution_id=execution_id)
        return await self.outcome(execution_id, claimed)

    async def page(self, next_token: str | None) -> Page:
        """List the newest executions, up to 1,000 at once; raise Throttled, or what the client's `list` raises."""
        pause = self.listing.reserve(TURN_WITHIN)
        if pause is None:
            raise Throttled("The API quota for listing executions is used up.")
        if pause:
            await asyncio.sleep(pause)
        return await self._counted(self.listing, self._workflows.list(next_token=next_token))

    @staticmethod
    async def _counted(bucket: TokenBucket, call: Awaitable[T]) -> T:
        try:
            answer = await call
        except Throttled:
            bucket.throttled()
            raise
        bucket.on_success()
        return answer

"""A reader of Step Functions' record of executions that stays within the account's API quotas."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from service.errors import Throttled, UnknownExecution
from service.stepfunctions.token_bucket import (
    DESCRIBE_EXECUTION_QUOTA,
    GET_EXECUTION_HISTORY_QUOTA,
    LIST_EXECUTIONS_QUOTA,
    Quota,
    TokenBucket,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from service.stepfunctions.client import Execution, Page, StepFunctionsClient
    from service.stepfunctions.outcomes import Outcome

T = TypeVar("T")

TOKEN_TIMEOUT_S: Final = 3.0
"""Seconds that a read may wait for a token of its quota. If the wait would be longer, the read fails at once."""

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
    ) -> None:
        self._client = client
        self.describe_bucket = TokenBucket(describe)
        self.history_bucket = TokenBucket(history)
        self.list_bucket = TokenBucket(list_)

    @property
    def buckets(self) -> dict[str, TokenBucket]:
        """The bucket of each quota, by action."""
        return {
            "DescribeExecution": self.describe_bucket,
            "GetExecutionHistory": self.history_bucket,
            "ListExecutions": self.list_bucket,
        }

    async def describe(self, execution_id: str, *, exists: bool = False) -> Execution:
        """Read one record for a caller, with more retries if the execution is known to exist.

        Raise UnknownExecution, Throttled, or what `StepFunctionsClient.describe` raises.
        """
        for delay in EXISTING_RETRY_DELAYS_S if exists else UNKNOWN_RETRY_DELAYS_S:
            try:
                return await self._describe(execution_id)
            except UnknownExecution:
                # An unknown id may be a guess, and a guess must not use up the tokens that recovery may need. But an
                # id that was just handed out must not be called unknown, and one read cannot tell the two apart.
                if not exists and self.describe_bucket.level < self.describe_bucket.size / 2:
                    raise Throttled(
                        "Not enough API quota left to look up this execution; try again later.",
                        execution_id=execution_id,
                    ) from None
                await asyncio.sleep(delay)
        return await self._describe(execution_id)

    async def _describe(self, execution_id: str) -> Execution:
        delay = self.describe_bucket.reserve(TOKEN_TIMEOUT_S)
        if delay is None:
            retry_after = self.describe_bucket.seconds_to_wait()
            raise Throttled(
                "The API quota for reading executions is used up.", execution_id=execution_id, retry_after=retry_after
            )
        if delay:
            await asyncio.sleep(delay)
        return await self._run(self._client.describe(execution_id), self.describe_bucket)

    def seconds_to_wait(self) -> float:
        """Return the seconds until `claim` may succeed; 0 if now."""
        return min(self.describe_bucket.seconds_to_wait(), self.history_bucket.seconds_to_wait())

    def claim(self) -> TokenBucket | None:
        """Take a token for one call of `outcome` from either quota; None if both are used up."""
        for bucket in (self.describe_bucket, self.history_bucket):
            if bucket.take():
                return bucket
        return None

    async def outcome(self, execution_id: str, claimed: TokenBucket) -> Outcome | None:
        """Read how an execution ended, by the call whose token was claimed; None if it is running.

        There is one attempt only, to spare an account that is throttled. Raise Throttled, UnknownExecution, or the
        like.
        """
        if claimed is self.history_bucket:
            read = self._client.outcome_from_history(execution_id, timeout=RECOVERY_READ_TIMEOUT_S)
            return await self._run(read, claimed)
        record = self._client.describe(execution_id, timeout=RECOVERY_READ_TIMEOUT_S, retry=False)
        return (await self._run(record, claimed)).outcome

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
        delay = self.list_bucket.reserve(TOKEN_TIMEOUT_S)
        if delay is None:
            raise Throttled("The API quota for listing executions is used up.")
        if delay:
            await asyncio.sleep(delay)
        return await self._run(self._client.list(next_token=next_token), self.list_bucket)

    @staticmethod
    async def _run(call: Awaitable[T], bucket: TokenBucket) -> T:
        """Carry out a call, and let its bucket know whether it was throttled."""
        try:
            result = await call
        except Throttled:
            bucket.on_throttled()
            raise
        bucket.on_success()
        return result

"""A reader of Step Functions' record of executions that stays within the account's API quotas."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from service.errors import Refused, Throttled, UnknownExecution
from service.stepfunctions.budget import TOKEN_TIMEOUT_S
from service.stepfunctions.records import End

if TYPE_CHECKING:
    from service.stepfunctions.budget import Budget
    from service.stepfunctions.client import StepFunctionsClient
    from service.stepfunctions.outcomes import Outcome
    from service.stepfunctions.read_budgets import ReadBudgets
    from service.stepfunctions.records import Execution, HistoryPage, Page

PAGE_TOKEN_TIMEOUT_S: Final = 0.5
"""Seconds that a listing may wait for its token. If the wait would be longer, reading executions singly is faster."""

MAX_TOKEN_TIMEOUT_S: Final = 20.0
"""Seconds that a caller with a wait of its own waits for the quota of the first read. After a restart, thousands come
back at once, and a browser whose stream is refused does not try again."""

MAX_HISTORY_PAGE: Final = 1000
"""The most events on a page of a history ("GetExecutionHistory", AWS Step Functions API Reference)."""

FIRST_HISTORY_PAGE: Final = 100
"""Events on a page if only the newest ones are of interest."""

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
    """Reads the records of one state machine's executions, within budgets that all state machines share.

    Callers are served first come, first served, recovery with the tokens that are left.
    """

    def __init__(self, client: StepFunctionsClient, budgets: ReadBudgets) -> None:
        self._client = client
        self.budgets = budgets
        self.kept = True
        """Whether there are records: an EXPRESS state machine keeps none."""

    async def describe(
        self, execution_id: str, *, guess: bool = False, exists: bool = False, wait: float = 0.0
    ) -> Execution:
        """Read one record for a caller that waits `wait` seconds for the outcome.

        There are more retries if the execution certainly exists.
        An id that may be a `guess`, as this service did not make it, is read within the share of the quota that guesses
        have. Every id is called unknown only after several reads: another instance may just have handed it out.
        Raise UnknownExecution, Throttled, or what `StepFunctionsClient.describe` raises.
        """
        timeout = TOKEN_TIMEOUT_S if guess else max(TOKEN_TIMEOUT_S, min(wait, MAX_TOKEN_TIMEOUT_S))
        for delay in EXISTING_RETRY_DELAYS_S if exists else UNKNOWN_RETRY_DELAYS_S:
            try:
                return await self._describe(execution_id, guess=guess, timeout=timeout)
            except UnknownExecution:
                await asyncio.sleep(delay)
        return await self._describe(execution_id, guess=guess, timeout=timeout)

    async def _describe(self, execution_id: str, *, guess: bool, timeout: float) -> Execution:
        return await self.budgets.describe.run(
            lambda: self._client.describe(execution_id), execution_id, guess=guess, timeout=timeout
        )

    async def end(self, execution_id: str, claimed: Budget) -> End | None:
        """Read how an execution ended, by the call whose token was claimed; None if it is running.

        There is one attempt only, to spare an account that is throttled; if this call is refused, the other one is
        made instead. Raise Throttled, UnknownExecution, or the like.
        """
        try:
            return await self._end(execution_id, claimed)
        except Refused:
            other = self.budgets.claim_instead(claimed)
            if other is None:
                raise
            return await self._end(execution_id, other)

    async def _end(self, execution_id: str, claimed: Budget) -> End | None:
        redrives: int | None = None
        if claimed is self.budgets.history:
            read = self._client.outcome_from_history(execution_id, timeout=RECOVERY_READ_TIMEOUT_S)
            outcome = await claimed.spend(read)
        else:
            record = self._client.describe(execution_id, timeout=RECOVERY_READ_TIMEOUT_S, retry=False)
            execution = await claimed.spend(record)
            outcome, redrives = execution.outcome, execution.redrives
        return None if outcome is None else End(outcome, redrives)

    async def confirm(self, execution_id: str) -> Outcome | None:
        """Read how an execution that may not exist has ended; None if it is running.

        One outage can leave thousands of starts in doubt, so these reads keep to the quotas too. Raise
        UnknownExecution, Throttled, or the like.
        """
        claimed = self.budgets.claim()
        if claimed is None:
            raise Throttled("The API quota for reading executions is used up.", execution_id=execution_id)
        end = await self.end(execution_id, claimed)
        return None if end is None else end.outcome

    async def history(self, execution_id: str, after: int, next_token: str | None) -> HistoryPage:
        """Read a page of an execution's history, newest event first; a small one if events up to `after` are known.

        Claim a token first. There is one attempt. Raise Throttled, UnknownExecution, or the like.
        """
        limit = FIRST_HISTORY_PAGE if after else MAX_HISTORY_PAGE
        page = self._client.history(execution_id, limit=limit, next_token=next_token, timeout=RECOVERY_READ_TIMEOUT_S)
        return await self.budgets.history.spend(page)

    async def running(self, next_token: str | None, token_timeout: float = PAGE_TOKEN_TIMEOUT_S) -> Page:
        """List up to 1,000 executions that are running, newest first.

        Wait up to `token_timeout` seconds for the quota. Raise Throttled, or what `StepFunctionsClient.list` raises.
        """
        return await self.budgets.list.run(
            lambda: self._client.list("RUNNING", next_token=next_token, timeout=RECOVERY_READ_TIMEOUT_S, retry=False),
            timeout=token_timeout,
        )

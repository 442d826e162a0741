"""Retries: run a failed execution again from where it failed, and wait as for a start.

A redrive keeps the execution's name, its input and its reply channel. So what the run before has published, or what the
record still shows of it, could be taken for the end of the new run. Runs are told apart by how often the execution had
been redriven: the record and the relay say that. A reply that does not say it only causes the record to be read.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from service.bridge.result import Result
from service.errors import Draining, NotRetryable, OutcomeUnknown
from service.stepfunctions.outcomes import Succeeded
from service.stepfunctions.reader import EXISTING_RETRY_DELAYS_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from service.bridge.durations import Durations
    from service.bridge.envelope import InputMode
    from service.bridge.pending import PendingReplies
    from service.bridge.recovery import Recovery
    from service.bridge.remote import RemoteSubscriptions
    from service.bridge.share import Share
    from service.bridge.starter import Starter
    from service.bridge.waiter import OnProgress
    from service.stepfunctions.reader import RecordReader
    from service.stepfunctions.records import Execution
    from service.stepfunctions.redriver import Redriver


class Follow(Protocol):
    """Waits for an execution that runs, or has ended: `Bridge.follow`."""

    async def __call__(
        self,
        execution_id: str,
        wait: float,
        *,
        caller: str | None,
        on_start: Callable[[str], None] | None,
        on_progress: OnProgress | None,
    ) -> Result:
        """Return the result after up to `wait` seconds."""


class Retries:
    """Retries executions of one workflow; one that runs already is followed instead."""

    def __init__(  # noqa: PLR0913 - one for each part that it brings together
        self,
        redriver: Redriver,
        starter: Starter,
        record: RecordReader,
        replies: PendingReplies,
        recovery: Recovery,
        remote: RemoteSubscriptions,
        admission: Share,
        *,
        input_mode: InputMode,
        follow: Follow,
        durations: Durations,
    ) -> None:
        self._redriver = redriver
        self._starter = starter
        self._record = record
        self._replies = replies
        self._recovery = recovery
        self._remote = remote
        self._admission = admission
        self._input_mode = input_mode
        self._follow = follow
        self._durations = durations

    async def retry(
        self,
        execution_id: str,
        wait: float,
        *,
        caller: str | None = None,
        on_start: Callable[[str], None] | None = None,
        on_progress: OnProgress | None = None,
    ) -> Result:
        """Run a failed execution again from where it failed, and wait up to `wait` seconds for its outcome.

        Requests that come at the same time, at whichever instances, cause one run and share it. A caller that leaves
        does not stop it. The callbacks, and a result without an outcome, are as for `Bridge.submit`. Raise NotRetryable
        if it succeeded or AWS refuses; UnknownExecution; AtCapacity, CallerShareExceeded, Draining or LinkDown before
        anything was done; OutcomeUnknown if AWS did not say whether it runs again, in which case a repeated retry does
        no harm; or what `RecordReader.describe` raises.
        """
        self._admission.check(caller, self._durations.typical_seconds)
        if not self._record.kept:
            raise NotRetryable("Executions of an EXPRESS state machine cannot be retried.", execution_id=execution_id)
        deadline = asyncio.get_running_loop().time() + wait
        with self._admission.request(caller):
            execution = await self._read(execution_id, wait)
            if isinstance(execution.outcome, Succeeded):
                raise NotRetryable("The execution succeeded.", execution_id=execution_id)
            if execution.outcome is not None:
                result = await self._run_again(execution, deadline, wait, caller, on_start, on_progress)
                if result is not None:
                    return result
        remaining = deadline - asyncio.get_running_loop().time()
        return await self._follow(execution_id, remaining, caller=caller, on_start=on_start, on_progress=on_progress)

    async def _read(self, execution_id: str, wait: float) -> Execution:
        """Read the record, more than once if it does not show the last run that this instance knows of."""
        known = self._replies.knows(execution_id)
        execution = await self._record.describe(execution_id, exists=known, wait=wait)
        for delay in EXISTING_RETRY_DELAYS_S:
            if execution.redrives >= self._replies.redrives(execution_id):
                break
            await asyncio.sleep(delay)
            execution = await self._record.describe(execution_id, exists=known, wait=wait)
        return execution

    async def _run_again(
        self,
        execution: Execution,
        deadline: float,
        wait: float,
        caller: str | None,
        on_start: Callable[[str], None] | None,
        on_progress: OnProgress | None,
    ) -> Result | None:
        """Redrive an execution that has failed, and wait; None if it runs, or has run, again already."""
        clock = asyncio.get_running_loop().time
        number = execution.redrives + 1
        with (
            self._replies.expect(execution.id, deadline, on_progress, self._record, redrives=number) as waiter,
            self._listening(execution),
        ):
            age = await self._redrive(execution, number, caller)
            if age is None:
                return None
            self._replies.redriven(execution.id, number)
            if age > clock() - waiter.since:
                # Another request redrove it earlier, which a lagging record did not show: it may have ended since.
                self._recovery.lookup_missed([execution.id])
            if on_start is not None:
                on_start(execution.id)
            redriven = clock()
            took = wait - (deadline - redriven)
            outcome = await waiter.until_deadline()
            waited = clock() - redriven
            if outcome is None:
                remaining = self._durations.remaining(waited)
                return Result(execution.id, None, took, waited=waited, remaining=remaining)
            return Result(execution.id, outcome, took, waited, waited=waited)

    def _listening(self, execution: Execution) -> AbstractContextManager[None]:
        envelope = self._input_mode.decode(execution.input)
        if envelope is None:  # the record withholds the input
            return self._recovery.polling(execution.id)
        return self._remote.listening(execution.id, envelope.channel, idle=True)

    async def _redrive(self, execution: Execution, number: int, caller: str | None) -> float | None:
        """Redrive an execution once its reply can be received; return how many seconds ago that was.

        Return None if AWS refuses because another request did so before.
        """
        sent = False
        try:
            with self._admission.cancellable():
                await self._remote.wait_answered(execution.id)
                await self._starter.wait_for_channel()
                sent = True
                return await self._redriver.redrive(execution.id, number, caller)
        except NotRetryable as refusal:
            await self._explain(execution, refusal)
            return None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or not self._admission.released:
                raise  # the caller left
            task.uncancel()  # the cancellation has done its work; the response still has to be sent
            if not sent:
                raise Draining("This instance stopped before it retried the execution.") from None
            raise OutcomeUnknown(
                "This instance stopped while it was retrying the execution.", execution_id=execution.id
            ) from None

    async def _explain(self, execution: Execution, refusal: NotRetryable) -> None:
        """Find out why AWS refused; return if the execution runs, or has run, again. Raise the refusal otherwise."""
        for delay in EXISTING_RETRY_DELAYS_S:
            now = await self._record.describe(execution.id, exists=True)
            if now.outcome is None or now.redrives > execution.redrives:
                return
            if now.redrive_refusal:
                refusal.detail = f"Step Functions refused: {now.redrive_refusal}"
                raise refusal
            await asyncio.sleep(delay)  # the record still shows how it was before
        raise refusal

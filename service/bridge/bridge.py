"""The use case: admit a request, start its execution, wait for the pushed reply, return the result."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from service.bridge.background import BackgroundTasks
from service.bridge.durations import Durations
from service.bridge.envelope import EnvelopeMode
from service.bridge.result import Result
from service.bridge.shared_starts import SharedStarts
from service.bridge.starter import CONFIRM_TIMEOUT_S, Start
from service.errors import Problem
from service.stepfunctions.outcomes import Succeeded
from service.stepfunctions.retry import ExecutionExists

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.bridge.envelope import InputMode
    from service.bridge.pending import PendingReplies
    from service.bridge.recovery import Recovery
    from service.bridge.remote import RemoteSubscriptions
    from service.bridge.share import Share
    from service.bridge.starter import Starter
    from service.bridge.waiter import OnProgress, Waiter
    from service.stepfunctions.reader import RecordReader
    from service.stepfunctions.records import Execution
    from service.stepfunctions.stopper import Stopper

log = structlog.get_logger(__name__)


class Bridge:
    """Keeps requests waiting while their executions run.

    With `stop_abandoned` an execution is stopped when its caller disconnects. One that belongs to an idempotency key is
    never stopped, since the caller can come back with the key.
    """

    def __init__(  # noqa: PLR0913 - one for each part that it brings together
        self,
        starter: Starter,
        stopper: Stopper,
        record: RecordReader,
        replies: PendingReplies,
        recovery: Recovery,
        remote: RemoteSubscriptions,
        admission: Share,
        *,
        input_mode: InputMode | None = None,
        stop_abandoned: bool = False,
    ) -> None:
        self._starter = starter
        self._stopper = stopper
        self._record = record
        self._replies = replies
        self._recovery = recovery
        self._remote = remote
        self._admission = admission
        self._stop_abandoned = stop_abandoned
        self._input_mode = input_mode or EnvelopeMode()
        self._shared_starts = SharedStarts(starter, record, replies, self._input_mode)
        self.durations = Durations()
        """How long executions usually take."""
        self._background = BackgroundTasks()

    async def submit(
        self,
        execution_id: str,
        event: str,
        wait: float,
        *,
        shared: bool = False,
        caller: str | None = None,
        trace_header: str | None = None,
        on_start: Callable[[str], None] | None = None,
        on_progress: OnProgress | None = None,
    ) -> Result:
        """Start an execution for `event` (JSON text) and wait up to `wait` seconds for its outcome.

        With `shared`, the id comes from an idempotency key: all requests with this id share one execution, whichever
        instance started it. Otherwise the id is new. `caller` is whose request it is, if callers are known. `on_start`
        is called with the id once the execution is known to exist.

        A result without an outcome means that the execution is still running. Raise AtCapacity, CallerShareExceeded,
        Draining, LinkDown or BodyTooLarge before anything was started; Throttled, Unreachable or Refused if it could
        not be started; OutcomeUnknown if Step Functions did not say whether it was; IdempotencyKeyReused or
        IdempotencyConflict if the existing execution belongs to another event, or cannot be read.
        """
        self._admission.check(caller, self.durations.typical_seconds)
        input_ = self._input_mode.encode(execution_id, event, self._remote.own_channel(execution_id))
        start = Start(execution_id, input_, trace_header, caller)
        del input_  # what is as large as a body may be is not kept while a request waits
        began = asyncio.get_running_loop().time()
        with (
            self._admission.request(caller),
            self._replies.expect(execution_id, began + wait, on_progress, self._record) as waiter,
        ):
            if shared:
                # The start does not end with its caller, as others may share it.
                channel = self._remote.own_channel(execution_id)
                async with self._shared_starts.join(start, event, channel, waiter.deadline) as joined:
                    with self._remote.listening(execution_id, joined.channel):
                        result = await self._result(joined.start, waiter, began, on_start)
                        return result if joined.start is start else replace(result, start_attempts=0)
            del event
            try:
                await self._start(start, waiter.deadline - began)
                return await self._result(start, waiter, began, on_start)
            except asyncio.CancelledError:
                self._on_cancelled(start)
                raise

    async def follow(
        self,
        execution_id: str,
        wait: float,
        *,
        foreign: bool = False,
        caller: str | None = None,
        on_start: Callable[[str], None] | None = None,
        on_progress: OnProgress | None = None,
    ) -> Result:
        """Wait up to `wait` seconds for the outcome of an execution, whichever instance started it.

        Without a wait, or if `caller` or this instance is at its limit, or is stopping, return what the record shows
        now. With `foreign`, nothing shows that there is such an execution; the id may be a guess. Raise
        UnknownExecution, or what `RecordReader.describe` raises.
        """
        known = self._replies.knows(execution_id)
        guess = foreign and not known
        if wait <= 0 or not self._admission.admits(caller):
            execution = await self._record.describe(execution_id, guess=guess, exists=known)
            self._replies.remember(execution_id)
            return self._recorded(self._current(execution))
        clock = asyncio.get_running_loop().time
        deadline = clock() + wait
        with ExitStack() as stack:
            stack.enter_context(self._admission.request(caller))
            # Register the waiter first, so that a reply that comes during the read is not lost.
            expected = execution_id, deadline, on_progress, self._record
            waiter = stack.enter_context(self._replies.expect(*expected))
            waiter.known = not guess
            try:
                execution = self._current(
                    await self._record.describe(execution_id, guess=guess, exists=known, wait=wait)
                )
            except Problem:
                if not waiter.done() or (outcome := waiter.result()) is None:
                    raise
                return Result(execution_id, outcome)  # its reply came during the read
            waiter.known, waiter.started_at = True, execution.started_at
            if execution.outcome is not None:
                return self._recorded(execution)
            if execution.redrives > waiter.redrives:
                # A reply that came during the read may be that of an earlier run.
                self._replies.redriven(execution_id, execution.redrives)
                waiter = stack.enter_context(self._replies.expect(*expected))
                self._recovery.lookup_missed([execution_id])
            if on_start is not None:
                on_start(execution_id)
            read_at = clock()
            envelope_ = self._input_mode.decode(execution.input)
            if envelope_ is not None:
                listening = self._remote.listening(execution_id, envelope_.channel)
            else:
                listening = self._recovery.polling(execution_id)
            with listening:
                outcome = await waiter.until_deadline()
            waited = clock() - read_at
            age = execution.seconds + waited
            if outcome is None:
                return Result(execution_id, None, waited=waited, remaining=self.durations.remaining(age))
            return Result(execution_id, outcome, workflow=age, waited=waited)

    async def stop(self, execution_id: str) -> None:
        """Stop an execution; raise UnknownExecution, or what `Stopper.stop` raises.

        No workflow publishes that it was stopped, so the waiters on this instance get the outcome from the record.
        """
        await self._stopper.stop(execution_id)
        self._replies.remember(execution_id)
        if execution_id in self._replies:
            self._recovery.lookup_ended(execution_id)

    def release(self) -> None:
        """Cancel the starts under way, and the work for callers that have left."""
        self._shared_starts.release()
        self._background.cancel()

    async def aclose(self) -> None:
        """Wait for the work that still runs in the background; each piece of it is bounded in time."""
        await self._shared_starts.aclose()
        await self._background.aclose()

    async def _start(self, start: Start, timeout: float) -> None:
        """Carry out a start that is not shared."""
        with self._admission.cancellable():
            try:
                await self._starter.run(start, timeout)
            except ExecutionExists:
                # The id is new, so this is our own earlier attempt, and the execution has ended since.
                start.done = True
                self._recovery.lookup_ended(start.execution_id)

    def _on_cancelled(self, start: Start) -> None:
        """Handle the cancellation of a request whose start is not shared; raise if `release` cancelled it."""
        if self._admission.released:
            if (task := asyncio.current_task()) is not None:
                task.uncancel()  # the cancellation has done its work; the response still has to be sent
            raise start.interrupted() from None
        # The caller left.
        if start.sent and (self._stop_abandoned or not start.done):
            self._background.spawn(self._finish_abandoned(start))

    async def _result(
        self, start: Start, waiter: Waiter, began: float, on_start: Callable[[str], None] | None
    ) -> Result:
        """Wait for the outcome of what was started."""
        clock = waiter.get_loop().time
        started = clock()
        took = started - began
        if start.doubt is not None:
            waiter.deadline -= CONFIRM_TIMEOUT_S
        elif on_start is not None:
            on_start(start.execution_id)
        waiter.started_at = start.started_at
        outcome = await waiter.until_deadline()
        if outcome is None and (doubt := start.doubt) is not None:
            if self._admission.released:  # too late to look it up
                raise doubt
            try:
                outcome = await self._record.confirm(start.execution_id)
            except Problem:
                raise doubt from None  # hand out no id that may not be readable later
        if outcome is None or waiter.resolved_at is None:
            waited = clock() - started
            remaining = self.durations.remaining(start.age + waited)
            return Result(
                start.execution_id,
                outcome,
                took,
                waited=waited,
                remaining=remaining,
                start_attempts=start.attempts,
            )
        waited = max(0.0, waiter.resolved_at - started)
        workflow = start.age + waited
        if isinstance(outcome, Succeeded):
            self.durations.add(workflow)
        return Result(start.execution_id, outcome, took, workflow, waited=waited, start_attempts=start.attempts)

    def _current(self, execution: Execution) -> Execution:
        """Return what the record shows, without the end of an earlier run: the record may lag behind a redrive."""
        lags = execution.redrives < self._replies.redrives(execution.id)
        return replace(execution, outcome=None) if lags else execution

    def _recorded(self, execution: Execution) -> Result:
        """Return what the record shows, for requests that do not wait."""
        if execution.outcome is None:
            return Result(execution.id, None, remaining=self.durations.remaining(execution.seconds))
        if isinstance(execution.outcome, Succeeded) and not execution.redrives:
            self.durations.add(execution.seconds)
        return Result(execution.id, execution.outcome, workflow=execution.seconds)

    async def _finish_abandoned(self, start: Start) -> None:
        """Bring the execution of a caller that left into its configured state: running, or stopped.

        A caller that leaves during the start cancels it. Starting again under the same name settles whether the
        execution exists and affects no other request. Until then the request counts as in flight.
        """
        with self._admission.request(start.caller):
            try:
                if not start.done:
                    with suppress(ExecutionExists):
                        await self._starter.run(start)
                if self._stop_abandoned:
                    await self._stopper.stop(start.execution_id)
            except Problem as problem:
                log.warning(
                    "abandoned_execution_unresolved",
                    execution_id=start.execution_id,
                    problem=problem.slug,
                    **problem.log_fields,
                )

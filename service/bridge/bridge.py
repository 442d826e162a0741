"""The use case: admit a request, start its execution, await the pushed reply, tell the outcome."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import structlog

from service.bridge import envelope
from service.bridge.admission import Admission
from service.bridge.durations import Durations
from service.bridge.shared_starts import SharedStarts
from service.bridge.starter import CONFIRM_WITHIN, Start
from service.errors import Problem
from service.stepfunctions.outcomes import Outcome, Succeeded
from service.stepfunctions.retry import ExecutionExists

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from service.bridge.pending import PendingReplies, Waiter
    from service.bridge.recovery import Recovery
    from service.bridge.remote import RemoteSubscriptions
    from service.bridge.starter import Starter
    from service.stepfunctions.client import Execution
    from service.stepfunctions.reader import RecordReader

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of an execution: its id, and its outcome or None while it runs.

    `start` is how long it took until Step Functions had taken it, `workflow` how long the workflow took from then on;
    None where that is not known here. `waited` is how long was waited for the workflow, `left` how long it will
    take yet as far as can be guessed, where it runs. All are seconds. `start_attempts` is how often Step Functions was
    asked to start it, 0 if not by this request's own start.
    """

    execution_id: str
    outcome: Outcome | None
    start: float | None = field(default=None, compare=False)
    workflow: float | None = field(default=None, compare=False)
    waited: float = field(default=0.0, compare=False)
    left: float = field(default=0.0, compare=False)
    start_attempts: int = field(default=0, compare=False)


class Bridge:
    """Holds requests while their executions run.

    `prefix` begins the channels that this instance hears: `<namespace>/<instance>/`. At most `max_in_flight` requests
    are held. With `stop_abandoned` an execution is stopped when its caller leaves; one that belongs to a key never is,
    for the key is there to come back with.
    """

    def __init__(
        self,
        starter: Starter,
        replies: PendingReplies,
        record: RecordReader,
        recovery: Recovery,
        joins: RemoteSubscriptions,
        *,
        prefix: str,
        max_in_flight: int,
        stop_abandoned: bool = False,
    ) -> None:
        self._starter = starter
        self._replies = replies
        self._record = record
        self._recovery = recovery
        self._joins = joins
        self._prefix = prefix
        self._admission = Admission(max_in_flight)
        self._stop_abandoned = stop_abandoned
        self._flights = SharedStarts(starter, record, replies)
        self._durations = Durations()
        self._background: set[asyncio.Task[None]] = set()

    @property
    def in_flight(self) -> int:
        """Requests held now."""
        return self._admission.held

    @property
    def max_in_flight(self) -> int:
        """Requests that may be held at once."""
        return self._admission.most

    @property
    def draining(self) -> bool:
        """Whether the instance is about to stop: no traffic should be sent to it any more."""
        return self._admission.draining

    @property
    def released_early(self) -> bool:
        """Whether requests were released before they came to their own end."""
        return self._admission.released_early

    async def submit(
        self,
        event: str,
        wait: float,
        *,
        execution_id: str | None = None,
        trace_header: str | None = None,
        on_start: Callable[[str], None] | None = None,
        on_progress: Callable[[str], None] | None = None,
    ) -> Answer:
        """Start an execution for `event` (JSON text) and wait up to `wait` seconds for its outcome.

        An `execution_id` that a caller's key has decided is shared: whoever comes with it again joins the one execution
        that there is, wherever it was started. `on_start` is called with the id once it is certain that the execution
        exists, `on_progress` with each progress event, as JSON text.

        An answer without an outcome means that the execution goes on. Raise AtCapacity, Draining, LinkDown or
        BodyTooLarge before anything was started; Throttled, Unreachable or Refused if it could not be started;
        OutcomeUnknown if Step Functions never told whether it was; IdempotencyKeyReused or IdempotencyConflict if the
        execution that there is belongs to another event, or cannot be read.
        """
        own_id = execution_id or f"exec-{uuid4()}"
        start = Start(own_id, envelope.encode(own_id, event, self._prefix + own_id), trace_header)
        if (problem := self._admission.refusal(self._durations.typical)) is not None:
            raise problem
        began = asyncio.get_running_loop().time()
        with self._admission, self._replies.expect(own_id, began + wait, on_progress) as waiter:
            if execution_id is not None:
                return await self._share(start, event, waiter, began, on_start)
            try:
                await self._lead(start, waiter.deadline - began)
                return await self._answer(start, waiter, began, on_start)
            except asyncio.CancelledError:
                self._leave(start)
                raise

    async def follow(
        self,
        execution_id: str,
        wait: float,
        *,
        on_start: Callable[[str], None] | None = None,
        on_progress: Callable[[str], None] | None = None,
    ) -> Answer:
        """Wait up to `wait` seconds for the outcome of an execution, wherever it was started.

        Without a wait, or where this instance can hold no more, tell what the record says now. Raise UnknownExecution,
        or what `RecordReader.describe` raises.
        """
        if wait <= 0 or self._admission.refusal() is not None:
            return self._read(await self._record.describe(execution_id))
        clock = asyncio.get_running_loop().time
        deadline = clock() + wait
        # The waiter comes first: what ends while the record is read is then heard.
        with self._admission, self._replies.expect(execution_id, deadline, on_progress) as waiter:
            try:
                execution = await self._record.describe(execution_id)
            except Problem:
                if not waiter.done() or (outcome := waiter.result()) is None:
                    raise
                return Answer(execution_id, outcome)  # its reply has come meanwhile
            if execution.outcome is not None:
                return self._read(execution)
            if on_start is not None:
                on_start(execution_id)
            read = clock()
            sealed = envelope.decode(execution.input)
            heard = (
                self._joins.listening(execution_id, sealed.channel) if sealed else self._recovery.polling(execution_id)
            )
            with heard:
                outcome = await waiter.outcome()
            waited = clock() - read
            seconds = execution.seconds + waited
            if outcome is None:
                return Answer(execution_id, None, waited=waited, left=self._durations.left(seconds))
            return Answer(execution_id, outcome, workflow=seconds, waited=waited)

    async def stop(self, execution_id: str) -> None:
        """Stop an execution; raise UnknownExecution, or what `Starter.stop` raises.

        No workflow publishes that it was stopped, so who waits for it on this instance is told from the record.
        """
        await self._starter.stop(execution_id)
        if execution_id in self._replies:
            self._recovery.lookup_ended(execution_id)

    async def drain(self, timeout: float, lag: float = 0.0) -> None:
        """End in order: take new work for `lag` more seconds, until no balancer sends any, then answer what is held.

        What still is held `timeout` seconds from now is released.
        """
        if not await self._admission.drain(timeout, lag):
            self.release()

    def release(self) -> None:
        """Refuse new work and end what is held now.

        Who waits for an outcome learns where to read it; who waits for the start learns that this instance stops;
        what is done for callers that have left is given up.
        """
        self._admission.release()
        self._replies.release()
        self._flights.release()
        for task in self._background:
            task.cancel()

    async def aclose(self) -> None:
        """Wait for what still runs in the background; each piece of it is bounded in time."""
        await self._flights.aclose()
        await asyncio.gather(*self._background, return_exceptions=True)

    async def _lead(self, start: Start, within: float) -> None:
        """Carry out a start that nobody shares."""
        with self._admission.cancellable():
            try:
                await self._starter.run(start, within)
            except ExecutionExists:
                # The id was made a moment ago, so it is our own earlier try, and it has ended meanwhile.
                start.done = True
                self._recovery.lookup_ended(start.execution_id)

    def _leave(self, start: Start) -> None:
        """See to a start that nobody shares whose request was cancelled; raise if that was the stop's doing."""
        if self._admission.released:
            if (task := asyncio.current_task()) is not None:
                task.uncancel()  # the cancellation has served its purpose; the answer has to be sent yet
            raise start.given_up() from None
        # The caller left.
        if start.sent and (self._stop_abandoned or not start.done):
            self._in_background(self._settle_abandoned(start))

    async def _share(
        self, start: Start, event: str, waiter: Waiter, began: float, on_start: Callable[[str], None] | None
    ) -> Answer:
        """Carry a request through beside others with the same key; its start does not end with its caller."""
        async with self._flights.join(start, event, self._prefix + start.execution_id, waiter.deadline) as flight:
            with self._joins.listening(start.execution_id, flight.channel):
                answer = await self._answer(flight.start, waiter, began, on_start)
                return answer if flight.start is start else replace(answer, start_attempts=0)

    async def _answer(
        self, start: Start, waiter: Waiter, began: float, on_start: Callable[[str], None] | None
    ) -> Answer:
        """Wait for the outcome of what was started, and tell it."""
        started = asyncio.get_running_loop().time()
        took = started - began
        if start.doubt is not None:
            waiter.deadline -= CONFIRM_WITHIN
        elif on_start is not None:
            on_start(start.execution_id)
        outcome = await waiter.outcome()
        if outcome is None and (doubt := start.doubt) is not None:
            if self._admission.released:  # there is no time to ask
                raise doubt
            try:
                outcome = await self._record.confirm(start.execution_id)
            except Problem:
                raise doubt from None  # an id is only handed out if it can be read later
        if outcome is None or waiter.settled_at is None:
            waited = asyncio.get_running_loop().time() - started
            left = self._durations.left(start.age + waited)
            return Answer(start.execution_id, outcome, took, waited=waited, left=left, start_attempts=start.attempts)
        waited = max(0.0, waiter.settled_at - started)
        workflow = start.age + waited
        if isinstance(outcome, Succeeded):
            self._durations.note(workflow)
        return Answer(start.execution_id, outcome, took, workflow, waited=waited, start_attempts=start.attempts)

    def _read(self, execution: Execution) -> Answer:
        """Tell what the record says, and learn from it where nobody here could wait long enough to see the end."""
        if execution.outcome is None:
            return Answer(execution.id, None, left=self._durations.left(execution.seconds))
        if isinstance(execution.outcome, Succeeded):
            self._durations.note(execution.seconds)
        return Answer(execution.id, execution.outcome, workflow=execution.seconds)

    async def _settle_abandoned(self, start: Start) -> None:
        """Bring a request whose caller left to the end that was asked for: the execution kept, or stopped.

        A caller that leaves while the start is under way cancels it. Starting again under the same name makes it
        certain, and costs those who stay nothing. Until then the request counts as held.
        """
        with self._admission:
            try:
                if not start.done:
                    with suppress(ExecutionExists):
                        await self._starter.run(start)
                if self._stop_abandoned:
                    await self._starter.stop(start.execution_id)
            except Problem as problem:
                log.warning("abandoned_execution_unsettled", execution_id=start.execution_id, problem=problem.slug)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

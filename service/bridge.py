"""The use case: admit a request, start its execution, await the pushed reply, tell the outcome."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol
from uuid import uuid4

import orjson
import structlog

from service.errors import AtCapacity, BodyTooLarge, Draining, LinkDown, OutcomeUnknown, Problem, UnknownExecution
from service.workflows import MAX_INPUT_BYTES, ExecutionExists

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from service.outcomes import Outcome
    from service.replies import Replies
    from service.workflows import Workflows

log = structlog.get_logger(__name__)

LINK_GRACE: Final = 2.0
"""Seconds from the loss of the link in which new requests wait for it to come back; later they are refused at once."""

READ_AGAIN: Final = (0.2, 0.6)
"""Pauses in seconds before an unknown execution is asked for again: the record is eventually consistent
("DescribeExecution", AWS Step Functions API Reference), and a URL that was just handed out must be found."""

CONFIRM_WITHIN: Final = 2.0
"""Seconds of a wait that are kept for asking whether an execution whose start was never answered exists."""


class ReplyChannel(Protocol):
    """The subscription on which replies arrive."""

    @property
    def live(self) -> bool:
        """Whether the subscription is confirmed on a connection that is up."""

    @property
    def ever_live(self) -> bool:
        """Whether it has ever been."""

    @property
    def down_since(self) -> float | None:
        """When it was lost, by time.monotonic(); None while it is live."""

    async def wait_live(self, timeout: float) -> bool:  # noqa: ASYNC109 - a bound on the wait is what it is for
        """Wait until it is live, for `timeout` seconds at the most; tell whether it is."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of an execution: its id, and its outcome or None while it runs."""

    execution_id: str
    outcome: Outcome | None


@dataclass(slots=True)
class _Start:
    """How far the start of one execution has come: anything sent, and carried out for certain."""

    sent: bool = False
    done: bool = False


class Bridge:
    """Holds requests while their executions run.

    `namespace` and `instance` make the channel that this instance is subscribed to; an execution's own channel is
    below it. At most `max_in_flight` requests are held. With `stop_abandoned` an execution is stopped when its
    caller leaves.
    """

    def __init__(
        self,
        workflows: Workflows,
        replies: Replies,
        channel: ReplyChannel,
        *,
        namespace: str,
        instance: str,
        max_in_flight: int,
        stop_abandoned: bool = False,
    ) -> None:
        self._workflows = workflows
        self._replies = replies
        self._channel = channel
        self._prefix = f"{namespace}/{instance}/"
        self._max_in_flight = max_in_flight
        self._stop_abandoned = stop_abandoned
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False
        self._released = False
        self._starters: set[asyncio.Task[Any]] = set()
        self._background: set[asyncio.Task[None]] = set()

    @property
    def in_flight(self) -> int:
        """Requests held now."""
        return self._in_flight

    @property
    def draining(self) -> bool:
        """Whether new work is refused because the instance stops."""
        return self._draining

    async def submit(self, event: str, wait: float) -> Answer:
        """Start an execution for `event` (JSON text) and wait up to `wait` seconds for its outcome.

        An answer without an outcome means that the execution goes on. Raise AtCapacity, Draining, LinkDown or
        BodyTooLarge before anything was started; Throttled, Unreachable or Refused if it could not be started;
        OutcomeUnknown if Step Functions never told whether it was.
        """
        deadline = asyncio.get_running_loop().time() + wait
        execution_id = f"exec-{uuid4()}"
        input_ = self._input(execution_id, event)
        if self._draining:
            raise Draining("This instance is stopping; another one takes the request.")
        if self._in_flight >= self._max_in_flight:
            raise AtCapacity(f"{self._in_flight} requests are held already.")
        with self._held(), self._replies.expect(execution_id) as reply:
            start = _Start()
            try:
                with self._starting():
                    await self._link_up()
                    unknown = await self._start(execution_id, input_, start, within=wait)
                confirming = CONFIRM_WITHIN if unknown is not None else 0.0
                outcome = await _until(deadline - confirming, reply)
            except asyncio.CancelledError:
                if self._released:
                    raise self._stopped(execution_id, start) from None
                # The caller left.
                if start.sent and (self._stop_abandoned or not start.done):
                    self._in_background(self._settle_abandoned(execution_id, input_, start))
                raise
            if outcome is None and unknown is not None:
                await self._confirm_started(execution_id, unknown)
            return Answer(execution_id, outcome)

    async def read(self, execution_id: str) -> Answer:
        """Tell what Step Functions' record says now; raise UnknownExecution, or what `Workflows.describe` raises."""
        for pause in READ_AGAIN:
            try:
                return Answer(execution_id, (await self._workflows.describe(execution_id)).outcome)
            except UnknownExecution:
                await asyncio.sleep(pause)
        return Answer(execution_id, (await self._workflows.describe(execution_id)).outcome)

    async def stop(self, execution_id: str) -> None:
        """Stop an execution; raise UnknownExecution, or what `Workflows.stop` raises.

        No workflow publishes that it was stopped, so who waits for it on this instance is told from the record.
        """
        await self._workflows.stop(execution_id)
        if execution_id in self._replies:
            self._in_background(self._settle_stopped(execution_id))

    async def drain(self, timeout: float) -> None:  # noqa: ASYNC109 - a bound on the wait is what it is for
        """Refuse new work and wait until nothing is held; after `timeout` seconds release what still is."""
        self._draining = True
        try:
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        except TimeoutError:
            self.release()

    def release(self) -> None:
        """Refuse new work and end what is held now.

        Who waits for an outcome learns where to read it; who waits for the start learns that this instance stops;
        what is done for callers that have left is given up.
        """
        self._draining = self._released = True
        self._replies.release()
        self._idle.set()  # there is nothing left to wait for
        for task in (*self._starters, *self._background):
            task.cancel()

    async def aclose(self) -> None:
        """Wait for what still runs in the background; each piece of it is bounded in time."""
        await asyncio.gather(*self._background, return_exceptions=True)

    def _input(self, execution_id: str, event: str) -> str:
        envelope = {"id": execution_id, "event": event, "reply": {"channel": self._prefix + execution_id}}
        encoded = orjson.dumps(envelope)
        if len(encoded) > MAX_INPUT_BYTES:
            raise BodyTooLarge(f"With its envelope the body takes {len(encoded)} bytes of {MAX_INPUT_BYTES}.")
        return encoded.decode()

    @contextmanager
    def _held(self) -> Iterator[None]:
        self._in_flight += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    @contextmanager
    def _starting(self) -> Iterator[None]:
        """Let `release` cancel the block."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("requests are held by tasks")
        self._starters.add(task)
        try:
            yield
        finally:
            self._starters.discard(task)

    @staticmethod
    def _stopped(execution_id: str, start: _Start) -> Problem:
        """Make the answer for a request whose start `release` has cancelled."""
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()  # the cancellation has served its purpose; the answer has to be sent yet
        if start.sent:
            return OutcomeUnknown("This instance stopped during the start.", execution_id=execution_id)
        return Draining("This instance stopped; nothing was started.")

    async def _link_up(self) -> None:
        # Nothing may start before its reply can be heard: AppSync Events does not replay.
        if self._channel.live:
            return
        if self._channel.ever_live and (down_since := self._channel.down_since) is not None:
            left = down_since + LINK_GRACE - time.monotonic()
            if left > 0 and await self._channel.wait_live(left):
                return
        raise LinkDown("No subscription for replies is confirmed; nothing was started.")

    async def _start(
        self, execution_id: str, input_: str, start: _Start, *, within: float | None = None
    ) -> OutcomeUnknown | None:
        """Start the execution; return the problem instead of raising it if it may have been started all the same."""

        def on_turn() -> None:
            # Its turn may have been long in coming: nothing may start whose reply cannot be heard.
            if not self._channel.live:
                raise LinkDown("The subscription for replies was lost; nothing was started.")
            start.sent = True

        try:
            await self._workflows.start(execution_id, input_, within=within, on_turn=None if start.sent else on_turn)
        except ExecutionExists:
            pass  # the id was made a moment ago, so it is our own earlier try that has ended meanwhile
        except OutcomeUnknown as unknown:
            return unknown  # its reply may well come
        start.done = True
        return None

    async def _confirm_started(self, execution_id: str, unknown: OutcomeUnknown) -> None:
        """Make sure that an id is only handed out if it can be read later."""
        if self._released:  # there is no time to ask
            raise unknown
        try:
            await self._workflows.describe(execution_id, within=CONFIRM_WITHIN)
        except Problem:
            raise unknown from None

    async def _settle_abandoned(self, execution_id: str, input_: str, start: _Start) -> None:
        """Bring a request whose caller left to the end that was asked for: the execution kept, or stopped.

        A caller that leaves while the start is under way cancels it. Starting again under the same name makes it
        certain, and costs those who stay nothing. Until then the request counts as held.
        """
        with self._held():
            try:
                if not start.done:
                    await self._start(execution_id, input_, start)
                if self._stop_abandoned:
                    await self._workflows.stop(execution_id)
            except Problem as problem:
                log.warning("abandoned_execution_unsettled", execution_id=execution_id, problem=problem.slug)

    async def _settle_stopped(self, execution_id: str) -> None:
        """Tell who waits for a stopped execution, as soon as the record shows its end; else they wait on."""
        for pause in (*READ_AGAIN, 0.0):
            try:
                outcome = (await self._workflows.describe(execution_id)).outcome
            except Problem:
                outcome = None
            if outcome is not None:
                self._replies.settle(execution_id, outcome)
                return
            await asyncio.sleep(pause)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


async def _until(deadline: float, reply: asyncio.Future[Outcome | None]) -> Outcome | None:
    try:
        if not reply.done():
            async with asyncio.timeout_at(deadline):
                return await reply
    except TimeoutError:
        if reply.cancelled():  # as the timeout does with what it interrupts
            return None
    # It was there before the wait began, or came in the tick in which the wait ran out.
    return reply.result()

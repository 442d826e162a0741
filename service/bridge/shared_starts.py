"""Starts that requests with the same idempotency key share."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from service.bridge import envelope
from service.errors import IdempotencyConflict, IdempotencyKeyReused, OutcomeUnknown, Problem, UnknownExecution
from service.stepfunctions.retry import ExecutionExists

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from service.bridge.pending import PendingReplies
    from service.bridge.starter import Start, Starter
    from service.stepfunctions.reader import RecordReader


SHARED_START_TIMEOUT: Final = 12.0
"""Seconds that a shared start may take, however short a caller's own wait is: a gap of the link, a start that is not
answered and the reading that makes sure take about as long."""


class SharedStart:
    """One start, the event that it is for, and the channel on which its execution replies."""

    def __init__(self, start: Start, event: str, channel: str) -> None:
        self.start = start
        self.event = event
        self.channel = channel
        self.users = 0
        self.task: asyncio.Task[None]


class SharedStarts:
    """The starts under way or waited for, one for each execution that a key has decided.

    Duplicates at one instance board the same flight. Duplicates at several meet in Step Functions, at the name of the
    execution: whoever comes second finds it there, and compares.
    """

    def __init__(self, starter: Starter, record: RecordReader, replies: PendingReplies) -> None:
        self._starter = starter
        self._record = record
        self._replies = replies
        self._flights: dict[str, SharedStart] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._flights)

    @asynccontextmanager
    async def join(self, start: Start, event: str, channel: str, deadline: float) -> AsyncIterator[SharedStart]:
        """Start the execution, or take the one that there is, and keep that for others for as long as the block lasts.

        Register the waiter first: what has ended already settles it. The start does not end with its caller. Raise
        IdempotencyKeyReused if the execution is for another event, IdempotencyConflict if that cannot be told, or what
        the start raises. `deadline`, by the event loop's clock, bounds the wait once SHARED_START_TIMEOUT has passed.
        """
        flight = await self._get_or_create(start, event, channel, deadline)
        flight.users += 1
        try:
            await self._wait_for_start(flight, deadline)
            if flight.task.cancelled():
                raise flight.start.given_up()
            flight.task.result()
            yield flight
        finally:
            flight.users -= 1
            if not flight.users:
                self._forget(flight)

    def release(self) -> None:
        """Give up what is not started yet."""
        for task in self._tasks:
            task.cancel()

    async def aclose(self) -> None:
        """Wait for the starts whose callers have left; each is bounded in time."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _get_or_create(self, start: Start, event: str, channel: str, deadline: float) -> SharedStart:
        clock = asyncio.get_running_loop().time
        while (flight := self._flights.get(start.execution_id)) is not None and flight.event != event:
            # Whichever of the two events the execution is for, only its start can tell.
            await self._wait_for_start(flight, deadline)
            if flight.task.cancelled():
                raise start.given_up()
            if flight.start.done:
                raise IdempotencyKeyReused(
                    "This key was used before with a different body.", execution_id=start.execution_id
                )
            if flight.start.doubt is not None or clock() > deadline:
                raise IdempotencyConflict(
                    "An earlier request with this key is still starting.", execution_id=start.execution_id
                )
        if flight is None:
            flight = self._flights[start.execution_id] = SharedStart(start, event, channel)
            flight.task = asyncio.create_task(self._run(flight, deadline - clock()))
            self._tasks.add(flight.task)
            flight.task.add_done_callback(self._on_done)
        return flight

    @staticmethod
    async def _wait_for_start(flight: SharedStart, deadline: float) -> None:
        """Wait until its start has come to something; it may be another caller's, with another wait."""
        left = deadline - asyncio.get_running_loop().time()
        last = SHARED_START_TIMEOUT / 2
        # In two parts: the time of the first one may have passed while the process stood still, and the start with it.
        for part in (max(left, SHARED_START_TIMEOUT) - last, last):
            await asyncio.wait([flight.task], timeout=part)
            if flight.task.done():
                return
        raise IdempotencyConflict(
            "An earlier request with this key has not started its execution yet.",
            execution_id=flight.start.execution_id,
        )

    async def _run(self, flight: SharedStart, within: float) -> None:
        try:
            try:
                await self._starter.run(flight.start, within)
                if flight.start.doubt is not None:
                    await self._resolve_doubt(flight, flight.start.doubt)
            except ExecutionExists:
                await self._adopt_existing(flight, exists=True)
        except Problem:
            self._forget(flight)  # whoever comes next tries again
            raise

    async def _resolve_doubt(self, flight: SharedStart, doubt: OutcomeUnknown) -> None:
        """Find out what a start came to that was never answered: the name may be another event's execution.

        Raise the doubt if the record cannot tell; the key is there to come back with.
        """
        try:
            await self._adopt_existing(flight)
        except IdempotencyKeyReused:
            raise
        except Problem:
            raise doubt from None
        flight.start.doubt = None

    async def _adopt_existing(self, flight: SharedStart, *, exists: bool = False) -> None:
        """Take the execution that there is for the one that was asked for, if it is the same."""
        execution_id = flight.start.execution_id
        try:
            execution = await self._record.describe(execution_id, exists=exists)
        except UnknownExecution:
            raise IdempotencyConflict(
                "The execution of this key cannot be read yet; try again later.", execution_id=execution_id
            ) from None
        sealed = envelope.decode(execution.input)
        if sealed is None:
            raise IdempotencyConflict(
                "The execution of this key was not started by this service.", execution_id=execution_id
            )
        if sealed.event != flight.event:
            raise IdempotencyKeyReused("This key was used before with a different body.", execution_id=execution_id)
        flight.start.done, flight.start.age, flight.channel = True, execution.seconds, sealed.channel
        if execution.outcome is not None:
            self._replies.settle(execution_id, execution.outcome)

    def _forget(self, flight: SharedStart) -> None:
        if self._flights.get(flight.start.execution_id) is flight:
            del self._flights[flight.start.execution_id]

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # who still waits for it is told; if nobody does, nobody needs to be

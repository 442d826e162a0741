"""Starts that requests with the same idempotency key share."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from service import envelope
from service.attempts import ExecutionExists
from service.errors import IdempotencyConflict, IdempotencyKeyReused, OutcomeUnknown, Problem, UnknownExecution

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from service.record import Record
    from service.replies import Replies
    from service.starts import Start, Starter


TAKEOFF_WITHIN: Final = 12.0
"""Seconds that a shared start may take, however short a caller's own wait is: a gap of the link, a start that is not
answered and the reading that makes sure take about as long."""


class Flight:
    """One start, the event that it is for, and the channel on which its execution replies."""

    def __init__(self, start: Start, event: str, channel: str) -> None:
        self.start = start
        self.event = event
        self.channel = channel
        self.users = 0
        self.takeoff: asyncio.Task[None]


class Flights:
    """The starts under way or waited for, one for each execution that a key has decided.

    Duplicates at one instance board the same flight. Duplicates at several meet in Step Functions, at the name of the
    execution: whoever comes second finds it there, and compares.
    """

    def __init__(self, starter: Starter, record: Record, replies: Replies) -> None:
        self._starter = starter
        self._record = record
        self._replies = replies
        self._flights: dict[str, Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._flights)

    @asynccontextmanager
    async def aboard(self, start: Start, event: str, channel: str, deadline: float) -> AsyncIterator[Flight]:
        """Start the execution, or take the one that there is, and keep that for others for as long as the block lasts.

        Register the waiter first: what has ended already settles it. The start does not end with its caller. Raise
        IdempotencyKeyReused if the execution is for another event, IdempotencyConflict if that cannot be told, or what
        the start raises. `deadline`, by the event loop's clock, bounds the wait for it, if TAKEOFF_WITHIN has passed.
        """
        flight = await self._board(start, event, channel, deadline)
        flight.users += 1
        try:
            await self._taken_off(flight, deadline)
            if flight.takeoff.cancelled():
                raise flight.start.given_up()
            flight.takeoff.result()
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

    async def _board(self, start: Start, event: str, channel: str, deadline: float) -> Flight:
        clock = asyncio.get_running_loop().time
        while (flight := self._flights.get(start.execution_id)) is not None and flight.event != event:
            # Whichever of the two events the execution is for, only its start can tell.
            await self._taken_off(flight, deadline)
            if flight.takeoff.cancelled():
                raise start.given_up()
            if flight.start.done:
                raise IdempotencyKeyReused("The key was used with another body.", execution_id=start.execution_id)
            if flight.start.doubt is not None or clock() > deadline:
                raise IdempotencyConflict("It is not known yet what it runs for.", execution_id=start.execution_id)
        if flight is None:
            flight = self._flights[start.execution_id] = Flight(start, event, channel)
            flight.takeoff = asyncio.create_task(self._take_off(flight, deadline - clock()))
            self._tasks.add(flight.takeoff)
            flight.takeoff.add_done_callback(self._landed)
        return flight

    @staticmethod
    async def _taken_off(flight: Flight, deadline: float) -> None:
        """Wait until its start has come to something; it may be another caller's, with another wait."""
        left = deadline - asyncio.get_running_loop().time()
        last = TAKEOFF_WITHIN / 2
        # In two parts: the time of the first one may have passed while the process stood still, and the start with it.
        for part in (max(left, TAKEOFF_WITHIN) - last, last):
            await asyncio.wait([flight.takeoff], timeout=part)
            if flight.takeoff.done():
                return
        raise IdempotencyConflict("Its start is still under way.", execution_id=flight.start.execution_id)

    async def _take_off(self, flight: Flight, within: float) -> None:
        try:
            try:
                await self._starter.run(flight.start, within=within)
                if flight.start.doubt is not None:
                    await self._make_sure(flight, flight.start.doubt)
            except ExecutionExists:
                await self._meet(flight, exists=True)
        except Problem:
            self._forget(flight)  # whoever comes next tries again
            raise

    async def _make_sure(self, flight: Flight, doubt: OutcomeUnknown) -> None:
        """Find out what a start came to that was never answered: the name may be another event's execution.

        Raise the doubt if the record cannot tell; the key is there to come back with.
        """
        try:
            await self._meet(flight)
        except IdempotencyKeyReused:
            raise
        except Problem:
            raise doubt from None
        flight.start.doubt = None

    async def _meet(self, flight: Flight, *, exists: bool = False) -> None:
        """Take the execution that there is for the one that was asked for, if it is the same."""
        execution_id = flight.start.execution_id
        try:
            execution = await self._record.describe(execution_id, exists=exists)
        except UnknownExecution:
            raise IdempotencyConflict("Its record cannot be read yet.", execution_id=execution_id) from None
        sealed = envelope.unseal(execution.input)
        if sealed is None:
            raise IdempotencyConflict("It was not started by this service.", execution_id=execution_id)
        if sealed.event != flight.event:
            raise IdempotencyKeyReused("The key was used with another body.", execution_id=execution_id)
        flight.start.done, flight.start.age, flight.channel = True, execution.seconds, sealed.channel
        if execution.outcome is not None:
            self._replies.settle(execution_id, execution.outcome)

    def _forget(self, flight: Flight) -> None:
        if self._flights.get(flight.start.execution_id) is flight:
            del self._flights[flight.start.execution_id]

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # who still waits for it is told; if nobody does, nobody needs to be

"""Pending replies: which execution ids somebody waits for, and how a pushed event finds its waiters."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import orjson

from service.outcomes import Failed, Outcome, Succeeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


REMEMBERED: Final = 10_000
"""Executions that nobody waits for any more and that are remembered, to tell late replies from unknown ones."""


class Waiter(asyncio.Future["Outcome | None"]):
    """One who waits for an outcome; None means: released without one.

    `deadline` is when the wait ends and `settled_at` when the outcome came, both by the clock of the event loop.
    `on_progress` is given the JSON text of each progress event.
    """

    # Thousands wait at once: without a dictionary each takes a third of the memory.
    __slots__ = ("_timer", "deadline", "on_progress", "settled_at")

    def __init__(self, deadline: float, on_progress: Callable[[str], None] | None) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self.deadline = deadline
        self.on_progress = on_progress
        self.settled_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def outcome(self, look_before: float, look: Callable[[], None]) -> Outcome | None:
        """Wait until the deadline; None after it.

        `look` is called `look_before` seconds earlier, or after three quarters of a shorter wait; a wait of less than
        a second is not worth it.
        """
        if not self.done():
            loop = self.get_loop()
            left = self.deadline - loop.time()
            if left < 1:
                self._timer = loop.call_at(self.deadline, loop.call_soon, self._give_up)
            else:
                self._timer = loop.call_at(self.deadline - min(look_before, left / 4), self._near_end, look)
            try:
                return await self
            finally:
                self._timer.cancel()
        return self.result()

    def _near_end(self, look: Callable[[], None]) -> None:
        loop = self.get_loop()
        # The end is one turn of the loop later: an outcome that comes in the very same one is given.
        self._timer = loop.call_at(self.deadline, loop.call_soon, self._give_up)
        look()

    def _give_up(self) -> None:
        if not self.done():
            self.set_result(None)


class Replies:
    """The table of waiters, several for one execution where callers share it.

    An event names its execution in its own `id`: an AppSync Events data frame does not name the channel
    ("Understanding the Event API WebSocket protocol", AWS AppSync Events guide). Events come at most once, in any
    order, perhaps repeated; one that fits no waiter or is no reply changes nothing and is counted.

    `on_ended` is told the id of a pending execution that is said to have ended without its result being sent along: a
    result that is too large for an event, an end that no workflow can announce.

    Each event is counted once: `result` for one that somebody waited for, `progress` of a running execution,
    `announced` for an end without a result, `repeated` and `late` for what came once more or after the waiting,
    `unknown` for an execution that nobody here has waited for lately, `malformed` for what is no reply at all.
    """

    def __init__(self) -> None:
        self._waiters: dict[str, list[Waiter]] = {}
        self.on_ended: Callable[[str], None] | None = None
        self._left: OrderedDict[str, bool] = (
            OrderedDict()
        )  # the last ones that nobody waits for any more; whether they were answered
        self.result = 0
        self.progress = 0
        self.announced = 0
        self.repeated = 0
        self.late = 0
        self.unknown = 0
        self.malformed = 0

    def __len__(self) -> int:
        return len(self._waiters)

    def __contains__(self, execution_id: str) -> bool:
        return execution_id in self._waiters

    def pending(self) -> list[str]:
        """Return the ids of all executions that somebody still waits for an outcome of."""
        return [key for key, waiters in self._waiters.items() if any(not waiter.done() for waiter in waiters)]

    def deadline(self, execution_id: str) -> float | None:
        """Return when the first of the waiters without an outcome gives up; None if there is none."""
        waiting = (waiter.deadline for waiter in self._waiters.get(execution_id, ()) if not waiter.done())
        return min(waiting, default=None)

    @contextmanager
    def expect(
        self, execution_id: str, deadline: float = float("inf"), on_progress: Callable[[str], None] | None = None
    ) -> Iterator[Waiter]:
        """Register a waiter for as long as the block lasts; it gets the outcome, or None when released."""
        waiter = Waiter(deadline, on_progress)
        waiters = self._waiters.setdefault(execution_id, [])
        for other in waiters:
            # Who comes while another one is just being told is told the same: it will not be said again.
            if other.settled_at is not None and not waiter.done():
                waiter.settled_at = other.settled_at
                waiter.set_result(other.result())
        waiters.append(waiter)
        try:
            yield waiter
        finally:
            waiters.remove(waiter)
            if not waiters:
                del self._waiters[execution_id]
                self._remember(execution_id, answered=waiter.settled_at is not None)

    def deliver(self, event: str) -> None:
        """Give one event, as JSON text, to those whom it is for. Never raises."""
        try:
            reply = orjson.loads(event)
            execution_id, status = reply["id"], reply["status"]
            if not isinstance(execution_id, str):
                raise TypeError  # noqa: TRY301 - one place counts all that is malformed
            if status == "RUNNING":
                self._tell_progress(execution_id, event)
            elif status == "ENDED" or (status == "SUCCEEDED" and "output" not in reply):
                self._tell_end(execution_id)
            elif self.settle(execution_id, _outcome(status, reply)):
                self.result += 1
            else:
                self._count_unmatched(execution_id)
        except (orjson.JSONDecodeError, LookupError, TypeError):
            self.malformed += 1

    def settle(self, execution_id: str, outcome: Outcome) -> bool:
        """Give `outcome` to those who wait for the execution; return whether anybody did."""
        settled = False
        for waiter in self._waiters.get(execution_id, ()):
            if not waiter.done():
                waiter.settled_at = waiter.get_loop().time()
                waiter.set_result(outcome)
                settled = True
        return settled

    def release(self) -> None:
        """Let every waiter go without an outcome."""
        for waiters in self._waiters.values():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def _remember(self, execution_id: str, *, answered: bool) -> None:
        self._left[execution_id] = answered
        if len(self._left) > REMEMBERED:
            self._left.popitem(last=False)

    def _count_unmatched(self, execution_id: str) -> None:
        if execution_id in self._waiters or self._left.get(execution_id):
            self.repeated += 1
        elif execution_id in self._left:
            self.late += 1
        else:
            self.unknown += 1

    def _tell_progress(self, execution_id: str, event: str) -> None:
        self.progress += 1
        for waiter in self._waiters.get(execution_id, ()):
            if waiter.on_progress is not None and not waiter.done():
                waiter.on_progress(event)

    def _tell_end(self, execution_id: str) -> None:
        self.announced += 1
        if self.on_ended is not None and self.deadline(execution_id) is not None:
            self.on_ended(execution_id)


def _outcome(status: Any, reply: dict[str, Any]) -> Outcome:
    if status == "SUCCEEDED":
        return Succeeded(reply["output"])
    if status == "FAILED" and isinstance(error := reply["error"], str):
        return Failed(error)
    raise LookupError("neither a result nor a failure")

"""Pending replies: which execution ids somebody waits for, and how a pushed event finds its waiters."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from service.bridge.timer_wheel import TimerWheel
from service.stepfunctions.outcomes import Failed, Outcome, Succeeded

if TYPE_CHECKING:
    from collections.abc import Callable


REMEMBERED: Final = 10_000
"""Executions that nobody waits for any more and that are remembered, to tell late replies from unknown ones."""


LOOKUP_BEFORE_DEADLINE: Final = 1.0
"""Seconds before the end of a wait in which its outcome is looked for, as a reply can be lost without any gap being
seen; after three quarters of a wait that is not four times as long."""

MIN_WAIT_FOR_LOOKUP: Final = 1.0
"""Seconds; at the end of a shorter wait nothing is looked for."""


class Waiter(asyncio.Future["Outcome | None"]):
    """One who waits for the outcome of an execution, for as long as its block lasts; None is: released without one.

    `deadline` is when the wait ends and `settled_at` when the outcome came, both by the clock of the event loop.
    `on_progress` is given the JSON text of each progress event.
    """

    # Thousands wait at once: what each takes counts.
    __slots__ = ("_replies", "_tick", "_timer", "deadline", "execution_id", "on_progress", "settled_at")

    def __init__(
        self, replies: PendingReplies, execution_id: str, deadline: float, on_progress: Callable[[str], None] | None
    ) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self.execution_id = execution_id
        self.deadline = deadline
        self.on_progress = on_progress
        self.settled_at: float | None = None
        self._replies = replies
        self._tick: int | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._replies.enter(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._replies.leave(self)

    async def outcome(self) -> Outcome | None:
        """Wait until the deadline; None after it."""
        if not self.done():
            left = self.deadline - self.get_loop().time()
            if left < MIN_WAIT_FOR_LOOKUP:
                self.expire_at_deadline()
            else:
                self._tick = self._replies.deadline_timers.add(
                    self.deadline - min(LOOKUP_BEFORE_DEADLINE, left / 4), self
                )
            try:
                return await self
            finally:
                if self._timer is not None:
                    self._timer.cancel()
                elif self._tick is not None:
                    self._replies.deadline_timers.discard(self._tick, self)
        return self.result()

    def expire_at_deadline(self) -> None:
        """End without an outcome then."""
        loop = self.get_loop()
        # The end is one turn of the loop later: an outcome that comes in the very same one is given.
        self._timer = loop.call_at(self.deadline, loop.call_soon, self._give_up)

    def _give_up(self) -> None:
        if not self.done():
            self.set_result(None)


class _Reply(msgspec.Struct):
    """An event on the channel of an execution (docs/workflows.md); what else there is in it means nothing here."""

    id: str
    status: str
    output: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: Any = None


_REPLY: Final = msgspec.json.Decoder(_Reply)


class PendingReplies:
    """The table of waiters, several for one execution where callers share it.

    An event names its execution in its own `id`: an AppSync Events data frame does not name the channel
    ("Understanding the Event API WebSocket protocol", AWS AppSync Events guide). Events come at most once, in any
    order, perhaps repeated; one that fits no waiter or is no reply changes nothing and is counted.

    `on_ended` gets the id of a pending execution that ended without its result in the event: the result was too large
    for an event, or the workflow could not announce its end. `on_deadline_near` gets the id of one whose wait is about
    to end.

    Each event is counted once: `result` for one that somebody waited for, `progress` of a running execution,
    `announced` for an end without a result, `repeated` and `late` for what came once more or after the waiting,
    `unknown` for an execution that nobody here has waited for lately, `malformed` for what is no reply at all.
    """

    def __init__(self) -> None:
        self._waiters: dict[str, list[Waiter]] = {}
        self.on_ended: Callable[[str], None] | None = None
        self.on_deadline_near: Callable[[str], None] | None = None
        self.deadline_timers: TimerWheel[Waiter] = TimerWheel(self._deadline_near)
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

    def has_left(self, execution_id: str) -> bool:
        """Tell whether somebody has lately waited for the execution and left."""
        return execution_id in self._left

    def pending(self) -> list[str]:
        """Return the ids of all executions that somebody still waits for an outcome of."""
        return [key for key, waiters in self._waiters.items() if any(not waiter.done() for waiter in waiters)]

    def deadline(self, execution_id: str) -> float | None:
        """Return when the first of the waiters without an outcome gives up; None if there is none."""
        waiting = (waiter.deadline for waiter in self._waiters.get(execution_id, ()) if not waiter.done())
        return min(waiting, default=None)

    def expect(
        self, execution_id: str, deadline: float = float("inf"), on_progress: Callable[[str], None] | None = None
    ) -> Waiter:
        """Make a waiter, which is registered for as long as its block lasts; it gets the outcome, or None."""
        return Waiter(self, execution_id, deadline, on_progress)

    def enter(self, waiter: Waiter) -> None:
        """Register a waiter."""
        waiters = self._waiters.setdefault(waiter.execution_id, [])
        for other in waiters:
            # Who comes while another one is just being told is told the same: it will not be said again.
            if other.settled_at is not None and not waiter.done():
                waiter.settled_at = other.settled_at
                waiter.set_result(other.result())
        waiters.append(waiter)

    def leave(self, waiter: Waiter) -> None:
        """Forget a waiter."""
        waiters = self._waiters[waiter.execution_id]
        waiters.remove(waiter)
        if not waiters:
            del self._waiters[waiter.execution_id]
            self._remember(waiter.execution_id, answered=waiter.settled_at is not None)

    def deliver(self, event: str) -> None:
        """Give one event, as JSON text, to those whom it is for. Never raises."""
        try:
            reply = _REPLY.decode(event)
        except (msgspec.DecodeError, RecursionError):
            self.malformed += 1
            return
        match reply:
            case _Reply(status="RUNNING"):
                self._tell_progress(reply.id, event)
            case _Reply(status="ENDED") | _Reply(status="SUCCEEDED", output=msgspec.UNSET):
                self._tell_end(reply.id)
            case _Reply(status="SUCCEEDED", output=msgspec.Raw() as output):
                self._tell(reply.id, Succeeded(bytes(output)))
            case _Reply(status="FAILED", error=str(error)):
                self._tell(reply.id, Failed(error))
            case _:
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

    def _deadline_near(self, waiter: Waiter) -> None:
        waiter.expire_at_deadline()
        if self.on_deadline_near is not None:
            self.on_deadline_near(waiter.execution_id)

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

    def _tell(self, execution_id: str, outcome: Outcome) -> None:
        if self.settle(execution_id, outcome):
            self.result += 1
        else:
            self._count_unmatched(execution_id)

    def _tell_progress(self, execution_id: str, event: str) -> None:
        self.progress += 1
        for waiter in self._waiters.get(execution_id, ()):
            if waiter.on_progress is not None and not waiter.done():
                waiter.on_progress(event)

    def _tell_end(self, execution_id: str) -> None:
        self.announced += 1
        if self.on_ended is not None and self.deadline(execution_id) is not None:
            self.on_ended(execution_id)

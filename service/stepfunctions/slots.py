"""Slots: how many calls to Step Functions may be in flight at once, and who gets the next one."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, TypeAlias

from service.errors import AtCapacity

if TYPE_CHECKING:
    from collections.abc import Mapping

_Waiting: TypeAlias = "OrderedDict[asyncio.Future[None], None]"


class Slots:
    """Slots for a number of calls, which callers get in turn when all are taken.

    So a caller with thousands of calls delays another one by one call, not by thousands. Those of one caller get their
    slots in the order in which they came.
    """

    def __init__(self, number: int) -> None:
        self._free = number
        self._queues: OrderedDict[str | None, _Waiting] = OrderedDict()

    def locked(self) -> bool:
        """Return whether all slots are taken."""
        return not self._free

    async def acquire(self, caller: str | None) -> None:
        """Take a slot, as soon as it is this caller's turn."""
        if self._free:  # then nobody waits
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(caller, OrderedDict())[turn] = None
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._leave(caller, turn)
            else:
                self.release()
            raise

    def release(self) -> None:
        """Free a slot, or hand it to the caller whose turn it is."""
        while self._queues:
            caller, queue = self._queues.popitem(last=False)
            turn, _ = queue.popitem(last=False)
            if queue:
                self._queues[caller] = queue
            if not turn.done():  # or it was cancelled, and will find that it has left already
                turn.set_result(None)
                return
        self._free += 1

    def _leave(self, caller: str | None, turn: asyncio.Future[None]) -> None:
        queue = self._queues.get(caller, OrderedDict())
        queue.pop(turn, None)
        if not queue:
            self._queues.pop(caller, None)


class Slot:
    """One slot, as an async context manager.

    Entering it waits for the turn of `caller` and returns `deadline`, by the event loop's clock. Raise AtCapacity if it
    does not come until `margin` seconds before then: a call could not even connect.
    """

    __slots__ = ("_caller", "_deadline", "_margin", "_slots")

    def __init__(self, slots: Slots, deadline: float, margin: float, caller: str | None) -> None:
        self._slots = slots
        self._deadline = deadline
        self._margin = margin
        self._caller = caller

    async def __aenter__(self) -> float:
        try:
            if self._slots.locked():
                async with asyncio.timeout_at(self._deadline - self._margin):
                    await self._slots.acquire(self._caller)
            else:
                await self._slots.acquire(self._caller)  # does not wait, so it needs no timer
        except TimeoutError:
            raise AtCapacity("Too many calls to Step Functions are waiting for a slot.") from None
        return self._deadline

    async def __aexit__(self, *_: object) -> None:
        self._slots.release()


def by_action(numbers: Mapping[str, int]) -> dict[str, Slots]:
    """Return slots for these numbers of calls, which the clients of several state machines may share."""
    return {action: Slots(number) for action, number in numbers.items()}

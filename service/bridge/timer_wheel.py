"""Timers in bulk: what is due at about the same time shares one timer of the event loop."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

TICK: Final = 0.05
"""Seconds between two ticks: what is due is done up to so much later."""


class TimerWheel(Generic[T]):
    """Calls `act` with each item once its time has come, by the event loop's clock.

    A timer of the event loop takes about 600 bytes for as long as it runs, an item here about 60; adding and
    discarding one costs the same however many there are.
    """

    def __init__(self, act: Callable[[T], None]) -> None:
        self._act = act
        self._ticks: dict[int, tuple[set[T], asyncio.TimerHandle]] = {}

    def __len__(self) -> int:
        return sum(len(items) for items, _ in self._ticks.values())

    def add(self, when: float, item: T) -> int:
        """Take in an item that is due at `when`; return the number of its tick."""
        number = math.ceil(when / TICK)
        tick = self._ticks.get(number)
        if tick is None:
            timer = asyncio.get_running_loop().call_at(number * TICK, self._due, number)
            tick = self._ticks[number] = (set(), timer)
        tick[0].add(item)
        return number

    def discard(self, number: int, item: T) -> None:
        """Forget an item; nothing happens if it was due already."""
        tick = self._ticks.get(number)
        if tick is None:
            return
        items, timer = tick
        items.discard(item)
        if not items:
            timer.cancel()
            del self._ticks[number]

    def _due(self, number: int) -> None:
        items, _ = self._ticks.pop(number)
        for item in items:
            self._act(item)

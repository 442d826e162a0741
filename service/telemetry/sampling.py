"""Keeping a log readable, and payable, under load."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LINES: Final = 100
"""Lines of one kind that are logged in a second."""


class Sampler:
    """Lets the first lines of each kind in a second through, and counts the others.

    So what is rare is always told, whatever else there is much of. At the end of such a second `report` is given the
    number of those that were left out, by kind.
    """

    def __init__(self, report: Callable[[Mapping[str, int]], None], most: int = LINES) -> None:
        self._report = report
        self._most = most
        self._seen: dict[str, int] = {}
        self._end = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def lets(self, kind: str) -> bool:
        """Tell whether a line of this kind is to be logged now."""
        now = time.monotonic()
        if now >= self._end:
            self.flush()
            self._end = now + 1.0
        seen = self._seen[kind] = self._seen.get(kind, 0) + 1
        if seen > self._most and self._timer is None:
            # If nothing comes any more, the numbers are told all the same.
            self._timer = asyncio.get_running_loop().call_later(self._end - now, self.flush)
        return seen <= self._most

    def flush(self) -> None:
        """End the second now, and report what was left out, if anything."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._report({kind: seen - self._most for kind, seen in self._seen.items() if seen > self._most})
        self._seen.clear()
        self._end = 0.0

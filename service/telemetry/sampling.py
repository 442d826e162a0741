"""A sampler that keeps the log readable, and affordable, under load."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_LINES_PER_SECOND: Final = 100
"""Lines of one kind that are logged in a second."""


class Sampler:
    """Allows the first `limit` lines of each kind in a second, and counts the others.

    So a rare kind is always logged, however many lines of other kinds there are. At the end of a second with
    suppressed lines, `report` is called with their number by kind. (`service.appsync.throttle` is for single events:
    it allows one, and adds the count to the next one of its kind.)
    """

    def __init__(self, report: Callable[[Mapping[str, int]], None], limit: int = MAX_LINES_PER_SECOND) -> None:
        self._report = report
        self._limit = limit
        self._seen: dict[str, int] = {}
        self._end = 0.0

    def allows(self, kind: str) -> bool:
        """Count a line of this kind; return whether to log it."""
        now = time.monotonic()
        if now >= self._end:
            self.flush()
            self._end = now + 1.0
        seen = self._seen[kind] = self._seen.get(kind, 0) + 1
        if seen == self._limit + 1:
            # The numbers are reported even if no further line comes; in a thread without a loop, with the next line.
            with contextlib.suppress(RuntimeError):
                asyncio.get_running_loop().call_later(self._end - now, self._expire, self._end)
        return seen <= self._limit

    def flush(self) -> None:
        """End the second now, and report the lines that were suppressed, if any."""
        seen, self._seen, self._end = self._seen, {}, 0.0
        suppressed = {kind: number - self._limit for kind, number in seen.items() if number > self._limit}
        if suppressed:
            self._report(suppressed)

    def _expire(self, end: float) -> None:
        if end == self._end:
            self.flush()

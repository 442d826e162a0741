"""A throttle for log lines and similar items."""

from __future__ import annotations

from collections import Counter


class Throttle:
    """Admits one item of each kind per `interval` seconds, and counts the others."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._next: dict[str, float] = {}
        self._suppressed: Counter[str] = Counter()

    def admit(self, kind: str, now: float) -> int | None:
        """Return how many items of this kind were suppressed since the last one; None to suppress this one too.

        `now` is in seconds and always comes from the same clock.
        """
        if now < self._next.get(kind, now):
            self._suppressed[kind] += 1
            return None
        self._next[kind] = now + self._interval
        return self._suppressed.pop(kind, 0)

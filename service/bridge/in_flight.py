"""Counts of the requests in flight, in all and by caller."""

from __future__ import annotations


class InFlightCount:
    """Counts requests that have begun and not ended."""

    def __init__(self) -> None:
        self.total = 0
        self._by_caller: dict[str, int] = {}  # only those that have any, so no more than there are requests

    def of(self, caller: str) -> int:
        """Return how many are of one caller."""
        return self._by_caller.get(caller, 0)

    def begin(self, caller: str | None) -> None:
        """Count a request, of `caller` if callers are known."""
        self.total += 1
        if caller is not None:
            self._by_caller[caller] = self.of(caller) + 1

    def end(self, caller: str | None) -> None:
        """Count a request no longer."""
        self.total -= 1
        if caller is not None:
            remaining = self._by_caller[caller] = self._by_caller[caller] - 1
            if not remaining:
                del self._by_caller[caller]

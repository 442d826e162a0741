"""Two connections that deliver the same events for a while, heard as one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .subscription import Subscription

SKEW = 2.0
"""Seconds by which the two copies of one event may be apart. Beyond that, an event is told twice rather than lost."""


class Overlap:
    """Knows the second copy of an event that both connections deliver.

    The service gives events no identity that holds across connections, and an event may well be published twice with
    the same text. So copies are counted, not just remembered: as long as one connection has delivered a text more often
    than the other, the next one on the other is a copy.
    """

    def __init__(self) -> None:
        # By subscription and the text's hash: by how many the old connection is ahead, and since when.
        self._ahead: dict[tuple[Subscription, int], tuple[int, float]] = {}

    def on_old(self, subscription: Subscription, event: str) -> bool:
        """Take note of an event that the old connection delivers; tell whether it is the copy of one taken before."""
        return self._count(subscription, event, 1)

    def on_new(self, subscription: Subscription, event: str) -> bool:
        """Take note of an event that the new connection delivers; tell whether it is the copy of one taken before."""
        return self._count(subscription, event, -1)

    def _count(self, subscription: Subscription, event: str, side: int) -> bool:
        key = subscription, hash(event)
        now = time.monotonic()
        ahead, since = self._ahead.get(key, (0, now))
        if now - since > SKEW:
            ahead = 0
        self._ahead[key] = ahead + side, now
        return ahead * side < 0

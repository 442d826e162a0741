"""Deduplication of events while two connections deliver the same ones."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .subscription import Subscription

MAX_COPY_SKEW_S = 2.0
"""Maximum seconds between the two copies of one event. A later copy is delivered: a duplicate is better than a loss."""


class Deduplicator:
    """Recognises the second copy of an event that the old and the new connection both deliver.

    The service gives events no identity that holds across connections, and the same text may be published twice. So
    copies are counted, not just remembered: while one connection has delivered a text more often than the other, the
    next one on the other connection is a copy.
    """

    def __init__(self) -> None:
        # By subscription and hash of the text: how many copies the old connection is ahead, and since when.
        self._ahead: dict[tuple[Subscription, int], tuple[int, float]] = {}

    def is_copy_on_old(self, subscription: Subscription, event: str) -> bool:
        """Count an event from the old connection; return whether the new one has delivered it before."""
        return self._count(subscription, event, 1)

    def is_copy_on_new(self, subscription: Subscription, event: str) -> bool:
        """Count an event from the new connection; return whether the old one has delivered it before."""
        return self._count(subscription, event, -1)

    def _count(self, subscription: Subscription, event: str, side: int) -> bool:
        key = subscription, hash(event)
        now = time.monotonic()
        ahead, since = self._ahead.get(key, (0, now))
        if now - since > MAX_COPY_SKEW_S:
            ahead = 0
        self._ahead[key] = ahead + side, now
        return ahead * side < 0

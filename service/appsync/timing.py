"""Timeouts, delays between attempts, and the age at which connections are renewed; all in seconds."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts of single steps."""

    connect: float = 5.0
    """Authorisation, TCP, TLS and the upgrade together."""

    ack: float = 5.0
    """From `connection_init` to `connection_ack`."""

    subscribe: float = 5.0
    """Authorising, sending, and the response to a subscribe or unsubscribe message: each."""

    close: float = 0.5
    """Unsubscribing from all channels, and the closing handshake: each."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter.

    With full jitter, clients that one outage of the service disconnected do not reconnect in step.
    """

    base: float = 0.1
    """The maximum of the first delay; it doubles with each attempt."""

    cap: float = 3.0
    """The maximum of every later delay."""

    refresh_interval: float = 3.0
    """The delay after a second refusal in a row, and the interval at which the credentials are read again."""

    refused_cap: float = 30.0
    """The maximum of the delay after refusals, which doubles each time. Credentials rarely become valid by themselves,
    and each attempt has a cost."""

    rand: Callable[[], float] = random.random

    def delay(self, attempt: int) -> float:
        """Return the delay after this attempt, counted from 1."""
        # The exponent is limited: months of attempts would overflow a float.
        return self.rand() * min(self.cap, self.base * 2.0 ** min(attempt - 1, 60))

    def refused_delay(self, refusals: int, attempt: int) -> float:
        """Return the delay after this many refusals in a row; new credentials may solve the first one soon."""
        if refusals <= 1:
            return self.delay(attempt)
        return min(self.refused_cap, self.refresh_interval * 2.0 ** min(refusals - 2, 60)) * (0.9 + 0.2 * self.rand())


@dataclass(frozen=True, slots=True)
class Renewal:
    """When and how a new connection replaces an old one, which the service would end after 24 hours."""

    earliest: float = 16 * 3600.0
    """The minimum age of a connection at its first renewal attempt. The age is random, so that links that were opened
    together are not renewed together."""

    latest: float = 22 * 3600.0
    """The maximum of that age; it leaves two hours for more attempts."""

    takeover: float = 15.0
    """From the new connection's acknowledgement until everything is subscribed on it."""

    overlap: float = 5.0
    """How long both connections then stay open."""

    backoff: Backoff = Backoff(base=30.0, cap=600.0)
    """Between attempts."""

    def due(self) -> float:
        """Return the age at which a connection is to be replaced."""
        return self.earliest + (self.latest - self.earliest) * self.backoff.rand()

"""How long things may take, in seconds, and how long to wait between tries."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Bounds of single steps, in seconds."""

    connect: float = 5.0
    """Authorisation, TCP, TLS and the upgrade together."""
    ack: float = 5.0
    """From `connection_init` to `connection_ack`."""
    subscribe: float = 5.0
    """Authorising, sending, and the answer to a subscribe or unsubscribe message: each."""
    close: float = 0.5
    """Ending the subscriptions, and the closing handshake: each."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter: a random part of `base` doubled with each try, up to `cap`; in seconds.

    Full jitter, so that the clients which one outage of the service cut off do not come back in step.
    """

    base: float = 0.1
    cap: float = 3.0
    reread: float = 3.0
    """Between the first tries after a second refusal in a row, and between looks for other credentials."""
    refused: float = 30.0
    """What that doubles up to. Credentials seldom heal by themselves, and each try costs."""
    rand: Callable[[], float] = random.random

    def delay(self, attempt: int) -> float:
        """Return the time to wait after the attempt of this number, from 1."""
        # The exponent is bounded: a float cannot take the powers that months of tries would ask for.
        return self.rand() * min(self.cap, self.base * 2.0 ** min(attempt - 1, 60))

    def delay_refused(self, refusals: int, attempt: int) -> float:
        """Return the time to wait after so many refusals in a row: the first may be met by fresh credentials."""
        if refusals <= 1:
            return self.delay(attempt)
        return min(self.refused, self.reread * 2.0 ** min(refusals - 2, 60)) * (0.9 + 0.2 * self.rand())


@dataclass(frozen=True, slots=True)
class Renewal:
    """When a new connection takes over from an old one, which the service would end after 24 hours; in seconds."""

    earliest: float = 16 * 3600.0
    """The first try is at a random time from here ..."""
    latest: float = 22 * 3600.0
    """... to here, so that links made together are not renewed together, and two hours are left for more tries."""
    takeover: float = 15.0
    """From the new connection's acknowledgement until everything is subscribed on it."""
    overlap: float = 5.0
    """How long both then stay."""
    backoff: Backoff = Backoff(base=30.0, cap=600.0)
    """Between tries, once one has failed."""

    def due(self) -> float:
        """Return how long after its making a connection is to be replaced."""
        return self.earliest + (self.latest - self.earliest) * self.backoff.rand()

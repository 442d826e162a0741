"""Limits for HTTP connections: how many at once, how long a request's head may take, how slowly a caller may read.

aiohttp limits none of these. Callers that send a head byte by byte, never read the response, or connect by the
thousand and send nothing would use up files and memory until none is left for the link to AppSync.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from service.web.http_connection import HttpConnection

HEAD_TIMEOUT_S: Final = 60.0
"""Time for a request's head to arrive, from the opening of the connection or from the first byte. Generous, because
a busy client may connect long before it sends; when there are too many, the slowest is dropped anyway."""

READ_TIMEOUT_S: Final = 30.0
"""Time for a caller to read from a full buffer; at 64 KiB that is enough on the slowest network."""

KEEP_ALIVE_S: Final = 75.0
"""Time an idle connection stays open. Longer than a load balancer's 60 s, so that the balancer never sends a request on
a connection that is just being closed, which would become a 502."""

PIPELINE_TIMEOUT_S: Final = 2.0
"""Time that a request may take while its connection is not read, because too much waits behind it: aiohttp stops
reading then, and nothing shows whether the caller has left."""

LINGER_S: Final = 10.0
"""Time that a connection stays open after its last response if the caller may still be sending."""

_SWEEP_INTERVAL_S: Final = 0.5


class Connections:
    """All connections of one server, up to `limit` at once.

    When one too many opens, the connection that has waited longest for a head is dropped, or else one that only
    lingers, or else the one that has been idle longest. If all are busy, the new one is rejected with 503.
    """

    def __init__(
        self,
        limit: int,
        *,
        head_timeout: float = HEAD_TIMEOUT_S,
        keep_alive: float = KEEP_ALIVE_S,
        read_timeout: float = READ_TIMEOUT_S,
        pipeline_timeout: float = PIPELINE_TIMEOUT_S,
        linger: float = LINGER_S,
    ) -> None:
        self._limit = limit
        # Each table is ordered by time, so only its first connection can have expired.
        self.awaiting_head = Table(head_timeout)
        self.idle = Table(keep_alive)
        self.lingering = Table(linger)
        """Connections that have had their last response."""
        self.blocked = Table(read_timeout)
        """Connections whose send buffer is full."""
        self.unread = Table(pipeline_timeout)
        """Connections that aiohttp has stopped reading."""
        self.open = 0
        self.dropped = 0
        """Connections that were dropped or rejected, other than idle ones that expired."""
        self._timer: asyncio.TimerHandle | None = None

    def opened(self, connection: HttpConnection) -> None:
        """Count a new connection; drop or reject one if there are too many."""
        if self._timer is None:
            self._sweep()
        self.open += 1
        connection.enter(self.awaiting_head)
        if self.open > self._limit:
            self.dropped += 1
            other = self.awaiting_head.first(unless=connection) or self.lingering.first() or self.idle.first()
            if other is not None:
                other.drop()
            else:
                connection.reject()

    def lost(self) -> None:
        """Count a connection that closed."""
        self.open -= 1

    def close(self) -> None:
        """Stop the sweep, and drop the connections that only linger."""
        if self._timer is not None:
            self._timer.cancel()
        while (connection := self.lingering.first()) is not None:
            connection.drop()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        for table in (self.awaiting_head, self.idle, self.blocked):
            while (connection := table.expired(loop.time())) is not None:
                if table is not self.idle:  # most connections end idle
                    self.dropped += 1
                connection.drop()
        while (connection := self.lingering.expired(loop.time())) is not None:
            connection.close_gracefully()
        while (connection := self.unread.expired(loop.time())) is not None:
            connection.read_no_more_requests()
        self._timer = loop.call_later(_SWEEP_INTERVAL_S, self._sweep)


class Table(dict["HttpConnection", float]):
    """Connections in one state, each with the time it entered, oldest first; they expire after `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def first(self, unless: HttpConnection | None = None) -> HttpConnection | None:
        """Return the oldest connection, or None if that is `unless`."""
        connection = next(iter(self), None)
        return None if connection is unless else connection

    def expired(self, now: float) -> HttpConnection | None:
        """Return the oldest connection if it has expired."""
        connection = self.first()
        return None if connection is None or now - self[connection] < self.seconds else connection

"""Connections that wait for the next call."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from service.stepfunctions.http1 import Connection

MAX_AGE_S: Final = 60.0
"""Seconds that a connection is used at most, give or take a quarter: so a change of the host's addresses is followed,
and not by all connections at once."""

MAX_IDLE_S: Final = 20.0
"""Seconds without a call after which a connection is closed, before a server, a firewall or a NAT gateway does."""

WATCH_INTERVAL_S: Final = 0.1
"""Seconds between two looks at all connections: how late a deadline may be noticed."""

CLOSE_TIMEOUT_S: Final = 1.0
"""Seconds to wait for connections to end."""


class Pool:
    """The open connections; of the idle ones, that which was used last is the first to be used again.

    There are never more of them than calls were in flight at once. One timer watches all of them, because one for each
    call would be a part of its cost.
    """

    def __init__(self) -> None:
        self._open: set[Connection] = set()
        self._idle: list[Connection] = []
        self._watching: asyncio.TimerHandle | None = None

    def connection(self) -> Connection:
        """Return the protocol of a new connection, which is still to be connected and added."""
        return Connection(self._forget)

    def add(self, connection: Connection, now: float) -> None:
        """Watch a connection that is connected now."""
        connection.use_until = now + random.uniform(0.75, 1.25) * MAX_AGE_S  # noqa: S311 - spreads load, guards nothing
        if connection.lost.done():
            return
        self._open.add(connection)
        if self._watching is None:
            self._watching = asyncio.get_running_loop().call_later(WATCH_INTERVAL_S, self._watch)

    def take(self, now: float) -> Connection | None:
        """Return an idle connection, if there is one that can still be used."""
        while self._idle:
            connection = self._idle.pop()
            if _usable(connection, now):
                connection.idle_since = None
                return connection
            connection.abort()
        return None

    def put(self, connection: Connection, now: float) -> None:
        """Keep a connection for the next call, or close it if there cannot be one."""
        connection.idle_since = now
        if connection.reusable and _usable(connection, now):
            self._idle.append(connection)
        else:
            connection.abort()

    async def aclose(self) -> None:
        """Close all connections."""
        ending = [connection.lost for connection in self._open]
        for connection in tuple(self._open):
            connection.abort()
        if ending:
            await asyncio.wait(ending, timeout=CLOSE_TIMEOUT_S)
        if self._watching is not None:
            self._watching.cancel()

    def _watch(self) -> None:
        """End the calls whose deadline has passed, and the connections that have been idle for long or are old."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in tuple(self._open):
            if connection.idle_since is None:
                connection.expire(now)
            elif not _usable(connection, now):
                connection.abort()
        self._watching = loop.call_later(WATCH_INTERVAL_S, self._watch) if self._open else None

    def _forget(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)


def _usable(connection: Connection, now: float) -> bool:
    idle_since = connection.idle_since
    return (
        now < connection.use_until and (idle_since is None or now - idle_since < MAX_IDLE_S) and not connection.closing
    )

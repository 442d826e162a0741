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

CLOSE_TIMEOUT_S: Final = 1.0
"""Seconds to wait for connections to end."""


class Pool:
    """Idle connections; the one that was used last is the first to be used again.

    There are never more of them than calls were in flight at once.
    """

    def __init__(self) -> None:
        self._open: set[Connection] = set()
        self._idle: list[Connection] = []
        self._sweeping: asyncio.TimerHandle | None = None

    def connection(self) -> Connection:
        """Return the protocol of a new connection, which is still to be connected and added."""
        return Connection(self._forget)

    def add(self, connection: Connection, now: float) -> None:
        """Count a connection that is connected now."""
        connection.use_until = now + random.uniform(0.75, 1.25) * MAX_AGE_S  # noqa: S311 - spreads load, guards nothing
        if not connection.lost.done():
            self._open.add(connection)

    def take(self, now: float) -> Connection | None:
        """Return an idle connection, if there is one that can still be used."""
        while self._idle:
            connection = self._idle.pop()
            if self._usable(connection, now):
                return connection
            connection.abort()
        return None

    def put(self, connection: Connection, now: float) -> None:
        """Keep a connection for the next call, or close it if there cannot be one."""
        connection.idle_since = now
        if not connection.reusable or not self._usable(connection, now):
            connection.abort()
            return
        self._idle.append(connection)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(MAX_IDLE_S, self._sweep)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._idle.clear()
        ending = [connection.lost for connection in self._open]
        for connection in self._open:
            connection.abort()
        if ending:
            await asyncio.wait(ending, timeout=CLOSE_TIMEOUT_S)

    @staticmethod
    def _usable(connection: Connection, now: float) -> bool:
        return now < connection.use_until and now - connection.idle_since < MAX_IDLE_S and not connection.closing

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        idle, self._idle = self._idle, []
        for connection in idle:
            if self._usable(connection, now):
                self._idle.append(connection)
            else:
                connection.abort()
        self._sweeping = loop.call_later(MAX_IDLE_S, self._sweep) if self._idle else None

    def _forget(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

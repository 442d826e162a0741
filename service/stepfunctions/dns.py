"""The addresses of one host.

A lookup runs in a thread, which nothing can interrupt, and may take half a minute if the name server is silent. So the
lookups are shared, few, and in threads of their own: a silent name server takes no thread from anything else, and does
not delay the end of the process.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

AddressInfo: TypeAlias = tuple[int, int, int, str, Any]

CACHE_S: Final = 5.0
"""Seconds that addresses are kept: one lookup serves a burst of new connections, and a change is soon noticed."""

HUNG_S: Final = 5.0
"""Seconds after which a lookup is not expected to end, and the next call starts another one."""

MAX_LOOKUPS: Final = 4
"""Lookups at once."""


class Resolver:
    """Looks up the addresses of `host`."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._addresses: Sequence[AddressInfo] = ()
        self._expires_at = 0.0
        self._lookup: asyncio.Future[Sequence[AddressInfo]] | None = None
        self._began_at = 0.0
        self._running = 0
        with suppress(socket.gaierror, UnicodeError):  # a name, which has to be looked up
            self._addresses = self._resolve(socket.AI_NUMERICHOST)
            self._expires_at = float("inf")

    async def addresses(self) -> Sequence[AddressInfo]:
        """Return the host's addresses; raise what `socket.getaddrinfo` raises. The caller sets a deadline."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now < self._expires_at:
            return self._addresses
        if self._lookup is None:
            self._lookup = loop.create_future()
        if not self._running or (now - self._began_at >= HUNG_S and self._running < MAX_LOOKUPS):
            self._began_at = now
            self._running += 1
            threading.Thread(target=self._run, args=(loop,), name="dns", daemon=True).start()
        return await asyncio.shield(self._lookup)

    def forget(self) -> None:
        """Look the name up again for the next connection, because no address could be connected to."""
        if self._expires_at != float("inf"):
            self._expires_at = 0.0

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        result: Sequence[AddressInfo] | Exception
        try:
            result = self._resolve(0)
        except Exception as error:  # noqa: BLE001 - it is raised where the addresses are awaited
            result = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(self._finish, loop, result)

    def _finish(self, loop: asyncio.AbstractEventLoop, result: Sequence[AddressInfo] | Exception) -> None:
        self._running -= 1
        lookup, self._lookup = self._lookup, None
        if not isinstance(result, Exception):
            self._addresses, self._expires_at = result, loop.time() + CACHE_S
        if lookup is None or lookup.done():
            return  # another lookup was faster
        if isinstance(result, Exception):
            lookup.set_exception(result)
            lookup.exception()  # whoever awaited it may have left
        else:
            lookup.set_result(result)

    def _resolve(self, flags: int) -> Sequence[AddressInfo]:
        return [*socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM, flags=flags)]

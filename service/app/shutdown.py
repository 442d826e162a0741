"""Graceful shutdown: the request for it, and the flush of the last responses."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

FLUSH_TIMEOUT_S: Final = 5.0
"""Seconds that callers have to read the last responses."""

FORCED_FLUSH_TIMEOUT_S: Final = 0.3
"""The same if the shutdown is forced."""

LAST_READ_S: Final = 0.05
"""Seconds for which the server still reads from its connections after it has stopped listening: requests that arrive
in that time get 503 rather than no response."""

_BUFFER_POLL_INTERVAL_S: Final = 0.02


class Shutdown:
    """The request to shut down. SIGTERM drains; SIGINT, or a second signal of either kind, forces."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.forced = False
        self._on_force: list[Callable[[], None]] = []

    def install_signal_handlers(self) -> None:
        """Handle SIGTERM and SIGINT of this process."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.request)
        loop.add_signal_handler(signal.SIGINT, self.request, True)

    def request(self, force: bool = False) -> None:
        """Request the shutdown; force it with `force`, or if it was requested before."""
        if force or self.requested.is_set():
            self.forced = True
            for callback in self._on_force:
                callback()
        self.requested.set()

    def on_force(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the shutdown is forced; immediately if it already is."""
        self._on_force.append(callback)
        if self.forced:
            callback()


async def flush(runner: web.AppRunner, shutdown: Shutdown, timeout: float = FLUSH_TIMEOUT_S) -> None:
    """Stop listening, let open responses finish for `timeout` seconds, then drop all connections."""
    server = runner.server
    if server is None:
        return
    for site in tuple(runner.sites):
        await site.stop()
    await asyncio.sleep(LAST_READ_S)
    transports = [connection.transport for connection in server.connections if connection.transport is not None]
    server.pre_shutdown()  # closes idle connections, which `server.shutdown` would wait for
    await runner.shutdown()  # ends the streams that last until their caller leaves
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout) as deadline:
            shutdown.on_force(lambda: _shorten(deadline))
            await server.shutdown(timeout)  # applies it to each of two steps, so the block above is needed as well
            # asyncio has no event for an empty write buffer.
            while any(transport.get_write_buffer_size() for transport in transports):  # noqa: ASYNC110
                await asyncio.sleep(_BUFFER_POLL_INTERVAL_S)
    for transport in transports:
        if transport.is_closing() and not transport.get_write_buffer_size():
            continue  # asyncio's own transports cannot be aborted after they have closed
        transport.abort()  # a caller that does not read its response would keep the socket open


def _shorten(deadline: asyncio.Timeout) -> None:
    with contextlib.suppress(RuntimeError):  # the deadline has passed
        deadline.reschedule(asyncio.get_running_loop().time() + FORCED_FLUSH_TIMEOUT_S)

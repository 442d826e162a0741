"""The wish to stop, and the last thing to do then: the answers that are under way reach their callers."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

FLUSH_TIMEOUT: Final = 5.0
"""Seconds in which the last answers have to be taken by their callers."""

LAST_CALL: Final = 0.05
"""Seconds after the last connection was taken in which what its caller sent is read: it is refused, not just lost."""

FORCED_FLUSH_TIMEOUT: Final = 0.3
"""The same when the stop has to be quick."""


class Stop:
    """The wish to stop, as signals bring it: SIGTERM drains, SIGINT or a second signal makes it quick."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.forced = False
        self._on_force: list[Callable[[], None]] = []

    def listen(self) -> None:
        """Take over SIGTERM and SIGINT of this process."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.ask)
        loop.add_signal_handler(signal.SIGINT, self.ask, True)

    def ask(self, quick: bool = False) -> None:
        """Ask to stop; quickly if that is said or if it was asked before."""
        if quick or self.requested.is_set():
            self.forced = True
            for act in self._on_force:
                act()
        self.requested.set()

    def on_force(self, act: Callable[[], None]) -> None:
        """Call `act` as soon as the stop is to be quick, at once if it already is."""
        self._on_force.append(act)
        if self.forced:
            act()


async def flush(runner: web.AppRunner, stop: Stop, seconds: float = FLUSH_TIMEOUT) -> None:
    """Take no more connections, give what is under way so many seconds to end, then cut what still is connected."""
    server = runner.server
    if server is None:
        return
    for site in tuple(runner.sites):
        await site.stop()
    await asyncio.sleep(LAST_CALL)
    transports = [connection.transport for connection in server.connections if connection.transport is not None]
    server.pre_shutdown()  # ends idle connections, which the last of these lines would wait for
    await runner.shutdown()  # tells those that last as long as their callers like
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds) as bound:
            stop.on_force(lambda: _hurry(bound))
            await server.shutdown(seconds)  # which is its limit for each of two steps
            # A transport tells nobody when its buffer is empty.
            while any(transport.get_write_buffer_size() for transport in transports):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    for transport in transports:
        transport.abort()  # a caller that does not read its answer would keep the socket open


def _hurry(bound: asyncio.Timeout) -> None:
    with contextlib.suppress(RuntimeError):  # it has passed
        bound.reschedule(asyncio.get_running_loop().time() + FORCED_FLUSH_TIMEOUT)

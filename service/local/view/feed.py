"""The journal as Server-Sent Events: first all that is kept, then new entries several times a second.

Source: WHATWG HTML, "Server-sent events".
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

from service.local.json_text import Json, dumps

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.local.view.journal import Journal

MAX_VIEWERS: Final = 20
_BATCH_INTERVAL_S: Final = 0.1  # entries closer together share a message: nobody could see the difference
_HEARTBEAT_INTERVAL_S: Final = 2.0  # without entries, a comment finds out whether the viewer is still there


class Feed:
    """The event stream for viewers.

    A message is a JSON object: `now` in epoch seconds, `counts`, the `entries` since the last message, and how many
    were `missed` because the journal dropped them before they could be sent.
    """

    def __init__(self, journal: Journal, counts: Callable[[], dict[str, Json]]) -> None:
        self._journal = journal
        self._counts = counts
        self._closed = False
        self.write_timeout_s = 5.0
        """How long a viewer may take to read a message before it is disconnected."""
        self.viewers = 0
        """How many viewers are connected."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one viewer until it leaves, is too slow or the server stops; 503 if there are too many."""
        if self.viewers >= MAX_VIEWERS:
            return web.Response(status=503, text=f"{MAX_VIEWERS} viewers are already connected")
        response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "text/event-stream", hdrs.CACHE_CONTROL: "no-store"})
        self.viewers += 1
        try:
            with self._journal.follow() as changed:
                await response.prepare(request)
                await self._follow(response, changed)
        except (TimeoutError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            self.viewers -= 1
        return response

    def open(self) -> None:
        """Accept viewers, also after a close."""
        self._closed = False

    def close(self) -> None:
        """Disconnect every viewer, and later ones immediately."""
        self._closed = True
        self._journal.notify()

    async def _follow(self, response: web.StreamResponse, changed: asyncio.Event) -> None:
        """Send until closed; TimeoutError if the viewer does not read, ConnectionError if it has left."""
        _, seen = self._journal.entries_after(0)  # entries dropped before it came do not count as missed
        while not self._closed:
            changed.clear()
            entries, missed = self._journal.entries_after(seen)
            seen = self._journal.last_number
            message = {"now": time.time(), "counts": self._counts(), "missed": missed, "entries": entries}
            await self._write(response, f"data: {dumps(message)}\n\n")
            await asyncio.sleep(_BATCH_INTERVAL_S)
            while not await _wait(changed, _HEARTBEAT_INTERVAL_S):
                await self._write(response, ": nothing new\n\n")

    async def _write(self, response: web.StreamResponse, text: str) -> None:
        async with asyncio.timeout(self.write_timeout_s):
            await response.write(text.encode())


async def _wait(changed: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await changed.wait()
    except TimeoutError:
        return False

"""The journal as Server-Sent Events: all that is kept, then what is new, several times a second.

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

MOST_VIEWERS: Final = 20
_PACE: Final = 0.1  # seconds between messages: what comes faster goes together, as no eye would tell it apart
_HEARTBEAT: Final = 2.0  # seconds without news until a comment finds out whether the viewer is still there


class Feed:
    """Serves viewers.

    A message is a JSON object: `now` in epoch seconds, `counts`, the `entries` since the last message, and how many
    more were `missed` because they were forgotten before they could be sent.
    """

    def __init__(self, journal: Journal, counts: Callable[[], dict[str, Json]]) -> None:
        self._journal = journal
        self._counts = counts
        self._closed = False
        self.patience = 5.0
        """Seconds that a viewer may take to read a message before it is cut off."""
        self.viewers = 0
        """How many look now."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one viewer until it leaves, is too slow, or the server stops; 503 when there are too many."""
        if self.viewers >= MOST_VIEWERS:
            return web.Response(status=503, text=f"{MOST_VIEWERS} viewers look already")
        response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "text/event-stream", hdrs.CACHE_CONTROL: "no-store"})
        self.viewers += 1
        try:
            with self._journal.following() as bell:
                await response.prepare(request)
                await self._follow(response, bell)
        except (TimeoutError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            self.viewers -= 1
        return response

    def open(self) -> None:
        """Serve those who come from now on, after a close, too."""
        self._closed = False

    def close(self) -> None:
        """Let every viewer go, and those who still come at once."""
        self._closed = True
        self._journal.ring()

    async def _follow(self, response: web.StreamResponse, bell: asyncio.Event) -> None:
        """Send until closed; TimeoutError when the viewer does not read, ConnectionError when it is gone."""
        _, seen = self._journal.since(0)  # what was forgotten before it came is not missed
        while not self._closed:
            bell.clear()
            entries, missed = self._journal.since(seen)
            seen = self._journal.last
            message = {"now": time.time(), "counts": self._counts(), "missed": missed, "entries": entries}
            await self._write(response, f"data: {dumps(message)}\n\n")
            await asyncio.sleep(_PACE)
            while not await _rings(bell, _HEARTBEAT):
                await self._write(response, ": nothing new\n\n")

    async def _write(self, response: web.StreamResponse, text: str) -> None:
        async with asyncio.timeout(self.patience):
            await response.write(text.encode())


async def _rings(bell: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await bell.wait()
    except TimeoutError:
        return False

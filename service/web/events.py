"""Answers as streams of events (Server-Sent Events, HTML standard, 9.2).

A stream begins once it is certain that the execution exists: what goes wrong before is an ordinary answer with its own
status. Then come `running`, any number of `progress`, and one of `result`, `problem`, or `running` again when the wait
has ended first. Progress is sent to those who listen at that moment and is kept nowhere; the end is kept by Step
Functions.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import hdrs, web

from service.web.negotiation import STREAM

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from service.bridge.bridge import Result

LAST_EVENT_ID: Final = "Last-Event-ID"

END: Final = "end"
"""The id of an event after which nothing more will ever be said of an execution."""

KEEP_ALIVE: Final = 10.0
"""Seconds of silence after which a comment is sent: proxies cut what is idle, and only writing shows who has left."""

RETRY: Final = 1000
"""Milliseconds after which a browser comes back when a stream ends."""

MOST_BYTES: Final = 256 * 1024
"""Progress that is kept for a caller who reads too slowly; beyond that the oldest is dropped."""

_COMMENT: Final = b":\n\n"
_COUNT_DIGITS: Final = 15


def event(name: str, data: bytes, id_: str | None = None) -> bytes:
    """Write one event; `data` is JSON text, whose lines come as one `data` each."""
    head = f"event: {name}\n" if id_ is None else f"event: {name}\nid: {id_}\n"
    return b"%bdata: %b\n\n" % (head.encode(), b"\ndata: ".join(data.splitlines()))


class Stream:
    """One caller's stream, fed by the bridge through `open` and `progress`, which are its callbacks.

    `last_id` is the id of the last event that the caller has seen, where it comes back: its count goes on from there.
    """

    def __init__(self, last_id: str = "") -> None:
        known = last_id.isascii() and last_id.isdigit() and len(last_id) <= _COUNT_DIGITS
        self._count = int(last_id) if known else 0
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._execution_id: str | None = None
        self._wake = asyncio.Event()

    def open(self, execution_id: str) -> None:
        """Begin: the execution exists."""
        self._execution_id = execution_id
        self._wake.set()

    def progress(self, execution_id: str, progress: bytes) -> None:
        """Add a progress event; `progress` is the JSON text that the workflow published."""
        self._count += 1
        data = {"id": execution_id, "status": "RUNNING", "progress": msgspec.Raw(progress)}
        written = event("progress", msgspec.json.encode(data), str(self._count))
        self._waiting.append(written)
        self._size += len(written)
        while self._size > MOST_BYTES:
            self._size -= len(self._waiting.popleft())
        self.open(execution_id)

    async def send(
        self,
        request: web.Request,
        work: Coroutine[Any, Any, Result],
        headers: dict[str, str],
        running: Callable[[str], bytes],
        end: Callable[[asyncio.Task[Result]], bytes],
    ) -> web.StreamResponse:
        """Answer with what happens while `work` is done; `running` writes the first event and `end` the last one.

        What `work` raises before the stream has begun is raised here. When the caller leaves, `work` is cancelled.
        """
        task = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._wake.set())
        try:
            await self._wake.wait()
            if self._execution_id is None:
                self._execution_id = task.result().execution_id
            response = web.StreamResponse(
                headers={hdrs.CONTENT_TYPE: STREAM, hdrs.CACHE_CONTROL: "no-store", "X-Accel-Buffering": "no"} | headers
            )
            await response.prepare(request)
            await response.write(b"retry: %d\n\n" % RETRY)
            if not task.done():
                await response.write(running(self._execution_id))
            while chunk := await self._next(task):
                await response.write(chunk)
            await response.write(end(task))
            await response.write_eof()
            return response
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # who has left needs to be told nothing

    async def _next(self, task: asyncio.Task[Result]) -> bytes:
        """Wait for something to write; nothing when the work is done and all is written."""
        while not self._waiting and not task.done():
            self._wake.clear()
            try:
                async with asyncio.timeout(KEEP_ALIVE):
                    await self._wake.wait()
            except TimeoutError:
                return _COMMENT
        chunk = b"".join(self._waiting)
        self._waiting.clear()
        self._size = 0
        return chunk

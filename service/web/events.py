"""Responses as event streams (Server-Sent Events, HTML standard, 9.2).

A stream begins once the execution certainly exists. What goes wrong before that is an ordinary response with its own
status. The events are `running`, any number of `progress`, and finally `result`, `problem`, or `running` again if the
wait ends first. Progress goes to the callers connected at that moment and is not stored; Step Functions stores the
outcome.
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
"""The id of the last event of an execution."""

COMMENT_INTERVAL_S: Final = 10.0
"""Silence after which a comment is sent: proxies close idle connections, and only a write shows that a caller left."""

RECONNECT_DELAY_MS: Final = 1000
"""Delay after which a browser reconnects when a stream ends."""

MAX_QUEUED_BYTES: Final = 256 * 1024
"""Progress queued for a caller that reads too slowly; beyond that, the oldest is dropped."""

_COMMENT: Final = b":\n\n"
_MAX_COUNT_DIGITS: Final = 15


def event(name: str, data: bytes, id_: str | None = None) -> bytes:
    """Write one event; each line of `data`, which is JSON text, becomes one `data` field."""
    head = f"event: {name}\n" if id_ is None else f"event: {name}\nid: {id_}\n"
    return b"%bdata: %b\n\n" % (head.encode(), b"\ndata: ".join(data.splitlines()))


class Stream:
    """One caller's event stream; the bridge feeds it through its callbacks `open` and `progress`.

    `last_id` is the `Last-Event-ID` of a caller that reconnects; its progress count continues from there.
    """

    def __init__(self, last_id: str = "") -> None:
        known = last_id.isascii() and last_id.isdigit() and len(last_id) <= _MAX_COUNT_DIGITS
        self._count = int(last_id) if known else 0
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._execution_id: str | None = None
        self._wake = asyncio.Event()

    def open(self, execution_id: str) -> None:
        """Open the stream: the execution exists."""
        self._execution_id = execution_id
        self._wake.set()

    def progress(self, execution_id: str, progress: bytes) -> None:
        """Queue a progress event; `progress` is the JSON text that the workflow published."""
        self._count += 1
        data = {"id": execution_id, "status": "RUNNING", "progress": msgspec.Raw(progress)}
        written = event("progress", msgspec.json.encode(data), str(self._count))
        self._queue.append(written)
        self._queued_bytes += len(written)
        while self._queued_bytes > MAX_QUEUED_BYTES:
            self._queued_bytes -= len(self._queue.popleft())
        self.open(execution_id)

    async def send(
        self,
        request: web.Request,
        work: Coroutine[Any, Any, Result],
        headers: dict[str, str],
        running: Callable[[str], bytes],
        end: Callable[[asyncio.Task[Result]], bytes],
    ) -> web.StreamResponse:
        """Respond with the events of `work`; `running` writes the first one and `end` the last one.

        Raise what `work` raises before the stream is open. Cancel `work` if the caller disconnects.
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
            await response.write(b"retry: %d\n\n" % RECONNECT_DELAY_MS)
            if not task.done():
                await response.write(running(self._execution_id))
            while chunk := await self._next(task):
                await response.write(chunk)
            await response.write(end(task))
            await response.write_eof()
            return response
        finally:
            # If it is done, wait for nothing: a caller that leaves after the last event has got everything.
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # mark it as retrieved, so that asyncio does not log it

    async def _next(self, task: asyncio.Task[Result]) -> bytes:
        """Wait for something to write; return nothing when the work is done and all is written."""
        while not self._queue and not task.done():
            self._wake.clear()
            try:
                async with asyncio.timeout(COMMENT_INTERVAL_S):
                    await self._wake.wait()
            except TimeoutError:
                return _COMMENT
        chunk = b"".join(self._queue)
        self._queue.clear()
        self._queued_bytes = 0
        return chunk

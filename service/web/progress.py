"""Progress that streams have still to write, within one limit for the whole instance.

Each event is encoded once and shared by all streams of its execution. What is in the transports' own buffers counts,
too. Beyond the limit the oldest event that no stream has begun to write is dropped, whichever stream it is for. A
stream that reads on finds what is left, and always its result.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from aiohttp import web

MAX_HELD_BYTES: Final = 64 * 1024 * 1024
"""Progress that all streams together hold; results and problems do not count and are never dropped."""

MAX_QUEUED_BYTES: Final = 256 * 1024
"""Progress queued for one caller that reads too slowly; beyond that, its oldest is dropped."""

PIECE_BYTES: Final = 16 * 1024
"""How much of an event the transport gets at once, since it holds a copy for each stream."""

_EVENT_OVERHEAD_BYTES: Final = 512
"""What an event takes besides its text: so much that a queue of tiny events stays short."""


@dataclass(slots=True, eq=False)
class Progress:
    """One progress event."""

    data: bytes
    """The event's lines after its name; empty once it has been dropped."""
    size: int
    """What it counts, in bytes."""
    queued: int = 0
    """How many streams have still to begin it."""
    begun: int = 0
    """How many streams are writing it."""


class HeldProgress:
    """The progress that all streams of an instance hold."""

    def __init__(self, limit: int = MAX_HELD_BYTES) -> None:
        self.bytes = 0
        self.streams = 0
        """How many streams are open."""
        self._limit = limit
        self._latest = Progress(b"", 0)
        # Oldest first; events that a stream has begun to write are not in it, because they cannot be freed.
        self._droppable: OrderedDict[Progress, None] = OrderedDict()

    def queue(self, data: bytes) -> Progress:
        """Hold an event for one more stream; streams that queue the same object one after the other share it."""
        event = self._latest
        if event.data is not data or not (event.queued or event.begun):
            event = self._latest = Progress(data, len(data) + _EVENT_OVERHEAD_BYTES)
            self.bytes += event.size
            self._droppable[event] = None
        event.queued += 1
        self._keep_within_limit()
        return event

    def begin(self, event: Progress) -> None:
        """Note that one of the streams for which an event is queued begins to write it."""
        event.queued -= 1
        event.begun += 1
        self._droppable.pop(event, None)

    def end(self, event: Progress) -> None:
        """Note that a stream has written an event."""
        event.begun -= 1
        if event.begun:
            return
        if event.queued:
            self._droppable[event] = None
            self._droppable.move_to_end(event, last=False)
        else:
            self.bytes -= event.size

    def discard(self, event: Progress) -> None:
        """Note that a stream will not write an event that is queued for it."""
        event.queued -= 1
        if not event.queued and not event.begun and event in self._droppable:
            del self._droppable[event]
            self.bytes -= event.size

    def buffer(self, size: int) -> None:
        """Count bytes in a transport's buffer, or no longer if negative."""
        self.bytes += size
        self._keep_within_limit()

    def _keep_within_limit(self) -> None:
        while self.bytes > self._limit and self._droppable:
            event, _ = self._droppable.popitem(last=False)
            event.data = b""
            self.bytes -= event.size


class ProgressQueue:
    """The progress that one stream has still to write."""

    def __init__(self, held: HeldProgress) -> None:
        self._held = held
        self._events: deque[Progress] = deque()
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._events)

    def add(self, execution_id: str, progress: bytes, id_: int | None = None) -> None:
        """Queue progress, JSON text, as an event with or without an id; drop the oldest if too much is queued."""
        event = self._held.queue(_encode(execution_id, progress, id_))
        self._events.append(event)
        self._size += event.size
        while self._size > MAX_QUEUED_BYTES:
            self._held.discard(self._pop())

    async def write(self, response: web.StreamResponse, request: web.Request) -> None:
        """Write the oldest event, if it has not been dropped meanwhile."""
        event = self._pop()
        if not event.data:
            self._held.discard(event)
            return
        self._held.begin(event)
        try:
            await self._write_piece(b"event: progress\n" + event.data[:PIECE_BYTES], response, request)
            for start in range(PIECE_BYTES, len(event.data), PIECE_BYTES):
                await self._write_piece(event.data[start : start + PIECE_BYTES], response, request)
        finally:
            self._held.end(event)

    def clear(self) -> None:
        """Give back all that is queued, when the stream ends."""
        while self._events:
            self._held.discard(self._pop())

    def _pop(self) -> Progress:
        event = self._events.popleft()
        self._size -= event.size
        return event

    async def _write_piece(self, piece: bytes, response: web.StreamResponse, request: web.Request) -> None:
        """Write a piece and wait until the transport has passed it on."""
        self._held.buffer(len(piece))
        try:
            await response.write(piece)
            await request.writer.drain()
        finally:
            self._held.buffer(-len(piece))


@lru_cache(maxsize=1)  # one event is queued for all streams of its execution, one after the other
def _encode(execution_id: str, progress: bytes, id_: int | None) -> bytes:
    head = b"" if id_ is None else b"id: %d\n" % id_
    data = msgspec.json.encode({"id": execution_id, "status": "RUNNING", "progress": msgspec.Raw(progress)})
    return head + data_lines(data)


def data_lines(data: bytes) -> bytes:
    """Write the data of an event; each line of `data`, which is JSON text, becomes one `data` field."""
    return b"data: %b\n\n" % b"\ndata: ".join(data.splitlines())

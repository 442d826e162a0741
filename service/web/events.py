"""Responses as event streams (Server-Sent Events, HTML standard, 9.2).

A stream begins once the execution certainly exists. What goes wrong before that is an ordinary response with its own
status. The events are `running`, any number of `progress`, and finally `result`, `problem`, or `running` again if the
wait ends first.

What a workflow publishes goes to the callers connected at that moment and is not stored, so that progress has no id.
The states that an execution enters are in its history: there, the id of an event is that of the history's event, and
any instance continues from it. Step Functions stores the outcome.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson
from aiohttp import hdrs, web

from service.web.negotiation import STREAM
from service.web.progress import ProgressQueue, data_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from service.bridge.result import Result
    from service.bridge.state_feed import OnState
    from service.web.progress import HeldProgress

LAST_EVENT_ID: Final = "Last-Event-ID"

END: Final = "end"
"""The id of the last event of an execution."""

COMMENT_INTERVAL_S: Final = 10.0
"""Silence after which a comment is sent: proxies close idle connections, and only a write shows that a caller left."""

RECONNECT_DELAY_MS: Final = 1000
"""Delay after which a browser reconnects when a stream ends."""

RECONNECTS_PER_S: Final = 15
"""How many callers a second come back to other instances from one that stops. Each costs a read of the record, and this
is the rate of the quota of DescribeExecution."""

WatchStates: TypeAlias = "Callable[[str, int, OnState], contextlib.AbstractContextManager[None]]"
"""Reports the states that an execution enters after an event of its history, until the block ends."""

_COMMENT: Final = b":\n\n"
_MAX_ID_DIGITS: Final = 15


def event(name: str, data: bytes, id_: str | None = None) -> bytes:
    """Write one event, whose data is JSON text."""
    head = f"event: {name}\n" if id_ is None else f"event: {name}\nid: {id_}\n"
    return head.encode() + data_lines(data)


def running(data: bytes, delay_ms: int = RECONNECT_DELAY_MS) -> bytes:
    """Write a `running` event; a browser reconnects `delay_ms` after the end of the stream."""
    return b"retry: %d\nevent: running\n" % delay_ms + data_lines(data)


class Stream:
    """One caller's event stream; the bridge feeds it through its callbacks `open` and `progress`.

    Its progress counts among what is `held` for all streams. With `watch` it includes the states that the execution
    enters: all of them, or those after `last_id`, the `Last-Event-ID` of a caller that takes up the stream again.
    """

    def __init__(self, held: HeldProgress, watch: WatchStates | None = None, last_id: str = "") -> None:
        known = last_id.isascii() and last_id.isdigit() and len(last_id) <= _MAX_ID_DIGITS
        self._last_state = int(last_id) if known else 0
        self._held = held
        self._watch = watch
        self._progress = ProgressQueue(held)
        self._execution_id: str | None = None
        self._wake = asyncio.Event()

    def open(self, execution_id: str) -> None:
        """Open the stream: the execution exists."""
        self._execution_id = execution_id
        self._wake.set()

    def progress(self, execution_id: str, progress: bytes) -> None:
        """Queue a progress event; `progress` is the JSON text that the workflow published."""
        self._progress.add(execution_id, progress)
        self.open(execution_id)

    def state(self, execution_id: str, number: int, name: str) -> None:
        """Queue a progress event for a state that was entered; `number` is the history's id of that."""
        self._progress.add(execution_id, orjson.dumps({"state": name}), number)
        self._wake.set()

    def reconnect_delay_ms(self, stopping: bool) -> int:
        """Return the milliseconds after which the caller should come back; its instance may be `stopping`."""
        spread_s = self._held.streams / RECONNECTS_PER_S if stopping else 0.0
        return RECONNECT_DELAY_MS + int(1000 * random.uniform(0, spread_s))  # noqa: S311 - spreads load, guards nothing

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
        self._held.streams += 1
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
            if request.transport is not None:
                # Whatever the network does not take at once is waited for, so that little waits here in the transport.
                request.transport.set_write_buffer_limits(0)
            if not task.done():
                await response.write(running(self._execution_id))
            with self._watching(self._execution_id):
                while await self._until_progress(task, response):
                    await self._progress.write(response, request)
            await response.write(end(task))
            await response.write_eof()
            return response
        finally:
            self._held.streams -= 1
            if request.transport is not None:
                request.transport.set_write_buffer_limits()
            # If it is done, wait for nothing: a caller that leaves after the last event has got everything.
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # mark it as retrieved, so that asyncio does not log it
            self._progress.clear()

    def _watching(self, execution_id: str) -> contextlib.AbstractContextManager[None]:
        if self._watch is None:
            return contextlib.nullcontext()
        return self._watch(execution_id, self._last_state, self.state)

    async def _until_progress(self, task: asyncio.Task[Result], response: web.StreamResponse) -> bool:
        """Wait for progress, with comments in the meantime; return False when the work is done and all is written."""
        while not self._progress and not task.done():
            self._wake.clear()
            try:
                async with asyncio.timeout(COMMENT_INTERVAL_S):
                    await self._wake.wait()
            except TimeoutError:
                await response.write(_COMMENT)
        return bool(self._progress)

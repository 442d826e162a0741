"""The load generator: callers with one connection each, either always busy or sending at a given rate."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

BODY: Final = b'{"nome": "Ricardo", "sobrenome": "Marques"}'
CALLER_HEADER: Final = "X-Caller"
DISTINCT_CALLERS: Final = 16
"""Callers, to whom the connections belong in turn: no share of one is ever full."""

ID: Final = slice(7, 48)
"""Position of the execution id in a response body that begins with `{"id":"exec-<uuid>"`."""


@dataclass(slots=True)
class Tally:
    """The responses: their number, and how many seconds each took in addition to its workflow."""

    responses: int = 0
    overheads: list[float] = field(default_factory=list)


class Caller(asyncio.Protocol):
    """One connection that sends one request at a time."""

    def __init__(self, request: bytes, done: Callable[[Caller, bytes], None], lost: Callable[[Caller], None]) -> None:
        self._request = request
        self._done = done
        self._lost = lost
        self._buffer = b""
        self.transport: asyncio.Transport
        self.due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's transport is not a subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(self)

    def send(self, due: float) -> None:
        """Send the request; `due` is when it should have been sent."""
        self.due = due
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        length = self._buffer.lower().index(b"content-length:", 0, head)
        size = int(self._buffer[length + 15 : self._buffer.index(b"\r\n", length)])
        if len(self._buffer) >= head + 4 + size:
            response, self._buffer = self._buffer, b""
            self._done(self, response)


class Load:
    """Load on one design. `durations` is the stand-in's record of each workflow's own time."""

    def __init__(self, port: int, durations: dict[str, float]) -> None:
        self._port = port
        self._durations = durations
        head = f"POST /event HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        tail = f"Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY
        requests = [f"{head}{CALLER_HEADER}: caller-{number}\r\n".encode() + tail for number in range(DISTINCT_CALLERS)]
        self._next_request = itertools.cycle(requests)
        self._loop = asyncio.get_running_loop()
        self._callers: set[Caller] = set()
        self._free: deque[Caller] = deque()
        self._busy = self._pacing = False
        self.tally = Tally()
        self.errors: list[str] = []
        """Errors that invalidate the measurement."""

    async def connect(self, number: int) -> None:
        """Open connections until there are `number` of them."""
        while len(self._callers) < number:
            async with asyncio.timeout(30):
                made = [
                    self._loop.create_connection(self._caller, "127.0.0.1", self._port)
                    for _ in range(min(100, number - len(self._callers)))
                ]
                callers = [caller for _, caller in await asyncio.gather(*made)]
            self._callers |= set(callers)
            self._free += callers

    @property
    def in_flight(self) -> int:
        """The number of requests without a response."""
        return len(self._callers) - len(self._free)

    def keep_busy(self, number: int) -> None:
        """Keep `number` requests in flight: each caller sends the next when it gets a response."""
        self._busy = True
        for _ in range(number):
            self._free.popleft().send(self._loop.time())

    async def ramp_up(self, number: int, rate: float) -> None:
        """Increase the requests in flight to `number`, by `rate` per second, and keep them there until `stop`."""
        self._busy = True
        began = self._loop.time()
        for count in range(number):
            if (pause := began + count / rate - self._loop.time()) > 0:
                await asyncio.sleep(pause)
            self._free.popleft().send(self._loop.time())

    async def at_rate(self, rate: float, rng: random.Random) -> None:
        """Send `rate` requests per second at random times, regardless of pending ones, until `stop`."""
        self._pacing = True
        due = self._loop.time()
        while self._pacing:
            due += rng.expovariate(rate)
            while (pause := due - self._loop.time()) > 0 or not self._free:  # noqa: ASYNC110 - it waits for the clock
                await asyncio.sleep(max(pause, 0.001))
            # Lateness of the load generator or of the design counts, because the time starts when a request is due.
            self._free.popleft().send(due)

    def stop(self) -> None:
        """Send no more requests."""
        self._busy = self._pacing = False

    async def wait_idle(self) -> None:
        """Wait until every request has a response."""
        async with asyncio.timeout(60):
            while self.in_flight:  # noqa: ASYNC110 - no event marks the last response
                await asyncio.sleep(0.02)

    def close(self) -> None:
        """Close all connections."""
        for caller in tuple(self._callers):
            caller.transport.abort()

    def _caller(self) -> Caller:
        return Caller(next(self._next_request), self._done, self._lost)

    def _lost(self, caller: Caller) -> None:
        self._callers.discard(caller)
        try:
            self._free.remove(caller)  # a server may close an idle connection
        except ValueError:
            self.errors.append("a connection was lost during a request")

    def _done(self, caller: Caller, response: bytes) -> None:
        now = self._loop.time()
        head, _, body = response.partition(b"\r\n\r\n")
        workflow = self._durations.pop(body[ID].decode(), None)
        if not head.startswith(b"HTTP/1.1 200") or workflow is None:
            self.errors.append(f"{head[:20]!r} {body[:80]!r}")
            self._busy = False
        else:
            self.tally.responses += 1
            self.tally.overheads.append(now - caller.due - workflow)
        if self._busy:
            caller.send(now)
        else:
            self._free.append(caller)

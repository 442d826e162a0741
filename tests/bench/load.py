"""Load for the benchmark: callers that each hold one connection, either always busy or at a given rate."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

BODY: Final = b'{"nome": "Ricardo", "sobrenome": "Marques"}'
ID: Final = slice(7, 48)
"""Where the execution's id is in an answer that begins with `{"id":"exec-<uuid4>"`."""


@dataclass(slots=True)
class Tally:
    """What was answered: how many, and how long each took beyond its workflow's own time, in seconds."""

    answered: int = 0
    overheads: list[float] = field(default_factory=list)


class Caller(asyncio.Protocol):
    """One connection that sends one request at a time."""

    def __init__(self, request: bytes, done: Callable[[Caller, bytes], None], lost: Callable[[Caller], None]) -> None:
        self._request = request
        self._done = done
        self._lost = lost
        self._buffer = b""
        self.transport: asyncio.Transport
        self.began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by class

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(self)

    def ask(self, began: float) -> None:
        """Send the request; `began` is when it should have been sent."""
        self.began = began
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        length = self._buffer.lower().index(b"content-length:", 0, head)
        size = int(self._buffer[length + 15 : self._buffer.index(b"\r\n", length)])
        if len(self._buffer) >= head + 4 + size:
            answer, self._buffer = self._buffer, b""
            self._done(self, answer)


class Load:
    """Calls one subject. `took` is the stand-in's record of each workflow's own time."""

    def __init__(self, port: int, took: dict[str, float]) -> None:
        self._port = port
        self._took = took
        head = b"POST /event HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nContent-Length: %d"
        self._request = (head + b"\r\n\r\n%b") % (port, len(BODY), BODY)
        self._loop = asyncio.get_running_loop()
        self._callers: set[Caller] = set()
        self._free: deque[Caller] = deque()
        self._busy = self._pacing = False
        self.tally = Tally()
        self.faults: list[str] = []
        """What makes the figures mean nothing."""

    async def connect(self, number: int) -> None:
        """Have at least so many connections."""
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
        """Requests that are not answered yet."""
        return len(self._callers) - len(self._free)

    def keep_busy(self, number: int) -> None:
        """Keep so many requests in flight: each caller asks again as soon as it is answered."""
        self._busy = True
        for _ in range(number):
            self._free.popleft().ask(self._loop.time())

    async def hold(self, number: int, rate: float) -> None:
        """Bring so many requests in flight, `rate` a second, and keep them there until `rest`."""
        self._busy = True
        began = self._loop.time()
        for count in range(number):
            if (pause := began + count / rate - self._loop.time()) > 0:
                await asyncio.sleep(pause)
            self._free.popleft().ask(self._loop.time())

    async def at_rate(self, rate: float, rng: random.Random) -> None:
        """Send `rate` requests a second at random moments, whether or not earlier ones were answered, until `rest`."""
        self._pacing = True
        due = self._loop.time()
        while self._pacing:
            due += rng.expovariate(rate)
            while (pause := due - self._loop.time()) > 0 or not self._free:  # noqa: ASYNC110 - time is what it waits for
                await asyncio.sleep(max(pause, 0.001))
            # A request that is late because the load is, or the subject, counts from when it was due.
            self._free.popleft().ask(due)

    def rest(self) -> None:
        """Ask no more."""
        self._busy = self._pacing = False

    async def quiet(self) -> None:
        """Wait until everything is answered."""
        async with asyncio.timeout(60):
            while self.in_flight:  # noqa: ASYNC110 - the last answer is nobody's event
                await asyncio.sleep(0.02)

    def close(self) -> None:
        """Leave."""
        for caller in tuple(self._callers):
            caller.transport.abort()

    def _caller(self) -> Caller:
        return Caller(self._request, self._done, self._lost)

    def _lost(self, caller: Caller) -> None:
        self._callers.discard(caller)
        try:
            self._free.remove(caller)  # a server ends a connection that was idle for long
        except ValueError:
            self.faults.append("a connection broke under a request")

    def _done(self, caller: Caller, answer: bytes) -> None:
        now = self._loop.time()
        head, _, body = answer.partition(b"\r\n\r\n")
        took = self._took.pop(body[ID].decode(), None)
        if not head.startswith(b"HTTP/1.1 200") or took is None:
            self.faults.append(f"{head[:20]!r} {body[:80]!r}")
            self._busy = False
        else:
            self.tally.answered += 1
            self.tally.overheads.append(now - caller.began - took)
        if self._busy:
            caller.ask(now)
        else:
            self._free.append(caller)

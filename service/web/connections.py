"""Connections: how many there may be at once, and how long each may take over a request's head and over reading.

aiohttp bounds neither: a caller that sends its head byte by byte, one that never reads its answer, and thousands that
send nothing at all would hold files and memory, until none is left for the link.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast
from uuid import uuid4

import structlog
from aiohttp import http_exceptions, web

from service.errors import AtCapacity, UnsupportedEncoding
from service.web import problems

log = structlog.get_logger(__name__)

HEAD_TIMEOUT: Final = 60.0
"""Seconds in which a request's head has to arrive, from the opening of the connection or from its first byte: a busy
client may connect long before it sends, and where room is short the slowest has to go anyway."""

READ_TIMEOUT: Final = 30.0
"""Seconds in which a caller has to make room in a full buffer; at 64 KiB that is as slow as any line."""

KEEP_ALIVE: Final = 75.0
"""Seconds that an idle connection stays open: longer than a load balancer's 60, or it answers 502 on a race."""

_SWEEP: Final = 0.5


class Connections:
    """All connections of one server; at most `most` are open at a time.

    When one more comes, the one goes that has waited longest for a head, else the one that has been idle longest; if
    all are at work, the new one is told to come back.
    """

    def __init__(
        self,
        most: int,
        *,
        head_timeout: float = HEAD_TIMEOUT,
        keep_alive: float = KEEP_ALIVE,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        self._most = most
        # Tables in the order of time: connection -> since when. Only the first of each can have run out of it.
        self.expecting = _Table(head_timeout)
        self.idle = _Table(keep_alive)
        self.stuck = _Table(read_timeout)
        self.open = 0
        self.cut = 0
        self._timer: asyncio.TimerHandle | None = None

    def opened(self, connection: Connection) -> None:
        """Take in a new connection."""
        if self._timer is None:
            self._sweep()
        self.open += 1
        connection.be_in(self.expecting)
        if self.open > self._most:
            self.cut += 1
            other = self.expecting.first(but=connection) or self.idle.first()
            if other is not None:
                other.cut()
            else:
                connection.refuse()

    def lost(self) -> None:
        """Forget one that is closed."""
        self.open -= 1

    def close(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        for table in (self.expecting, self.idle, self.stuck):
            while (connection := table.expired(loop.time())) is not None:
                if table is not self.idle:  # which is how most connections end
                    self.cut += 1
                connection.cut()
        self._timer = loop.call_later(_SWEEP, self._sweep)


class _Table(dict["Connection", float]):
    """Connections in one state, in the order in which they came into it, and for how many seconds they may stay."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def first(self, but: Connection | None = None) -> Connection | None:
        """Return the one that has been here longest, unless it is `but`."""
        connection = next(iter(self), None)
        return None if connection is but else connection

    def expired(self, now: float) -> Connection | None:
        """Return the one that has been here longest, if that is too long."""
        connection = self.first()
        return None if connection is None or now - self[connection] < self.seconds else connection


class Connection(web.RequestHandler):
    """One connection, and what it is doing: waiting for a head, at work, or idle between two requests."""

    __slots__ = ("_connections", "_gone", "_socket", "_state")

    def __init__(self, server: web.Server, connections: Connections) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), keepalive_timeout=KEEP_ALIVE, access_log=None)  # type: ignore[arg-type]  # its default logs
        self._connections = connections
        self._state: _Table | None = None
        self._gone = False
        self._socket: asyncio.Transport

    def be_in(self, state: _Table | None) -> None:
        """Change what it is doing; None is to be at work, which takes as long as it takes."""
        if self._state is not None:
            self._state.pop(self, None)
        if state is not None:
            state[self] = self._loop.time()
        self._state = state

    def begin(self) -> None:
        """Note that a request has arrived."""
        self.be_in(None)

    def end(self) -> None:
        """Note that its answer is ready."""
        if not self._gone:
            self.be_in(self._connections.idle)

    def cut(self) -> None:
        """End it at once, whatever is left to send."""
        self._leave()
        self._socket.abort()

    def refuse(self) -> None:
        """End it before it has asked for anything, and say why."""
        self._leave()
        self._socket.write(_NO_ROOM)
        self._socket.close()

    def _leave(self) -> None:
        self.be_in(None)
        self._connections.stuck.pop(self, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take part in the count."""
        self._socket = cast("asyncio.Transport", transport)  # uvloop's is none by its type
        super().connection_made(transport)
        if self._keepalive_handle is not None:
            # The table of idle connections does for all at once what would take a timer for each, the largest single
            # piece of what a request holds. aiohttp makes no other as long as it has this one.
            self._keepalive_handle.cancel()
        self._connections.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Leave the count."""
        self._gone = True
        self._leave()
        self._connections.lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Note when the head of a next request begins."""
        if data and self._state is self._connections.idle:
            self.be_in(self._connections.expecting)
        super().data_received(data)

    def pause_writing(self) -> None:
        """Note that the other side reads too slowly."""
        self._connections.stuck[self] = self._loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that it has read on."""
        self._connections.stuck.pop(self, None)
        super().resume_writing()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what no route gets to see, as every other problem; nothing that was sent is logged."""
        if request.writer.output_size > 0:
            raise ConnectionError("the head of an answer has been sent")
        request_id = str(uuid4())
        if isinstance(exc, http_exceptions.ContentEncodingError):
            problem = problems.from_problem(UnsupportedEncoding(problems.SEND_ENCODED), "", request_id)
        elif isinstance(exc, http_exceptions.LineTooLong):
            problem = problems.from_status(431, request_id=request_id)
        elif status == 400:
            problem = problems.from_status(400, request_id=request_id)
        else:
            log.error("unexpected_error", request_id=request_id, exc_info=exc)
            problem = problems.unexpected("", request_id)
        log.info("bad_request", status=problem.status, request_id=request_id)
        response = problem.to_response()
        response.force_close()
        return response


class Site(web.BaseSite):
    """Listens, as `web.TCPSite` does, for connections that are watched over."""

    def __init__(self, runner: web.AppRunner, host: str, port: int, *, backlog: int, connections: Connections) -> None:
        super().__init__(runner, backlog=backlog)
        self._host = host
        self._port = port
        self._connections = connections

    @property
    def name(self) -> str:
        """Where it listens."""
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        """Listen; raise OSError or UnicodeError if that cannot be."""
        await super().start()
        server = self._runner.server
        if server is None:
            raise RuntimeError("the runner is not set up")
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(server, self._connections), self._host, self._port, backlog=self._backlog
        )

    async def stop(self) -> None:
        """Stop to listen."""
        self._connections.close()
        await super().stop()


def _no_room() -> bytes:
    body = problems.from_problem(AtCapacity("Too many connections are open."), "", "").body
    head = (
        "HTTP/1.1 503 Service Unavailable",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Retry-After: 1",
        "Connection: close",
    )
    return "\r\n".join((*head, "", "")).encode() + body


_NO_ROOM: Final = _no_room()

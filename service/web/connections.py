"""Limits for HTTP connections: how many at once, how long a request's head may take, how slowly a caller may read.

aiohttp limits none of these. Callers that send a head byte by byte, never read the response, or connect by the
thousand and send nothing would use up files and memory until none is left for the link to AppSync.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast
from uuid import uuid4

import structlog
from aiohttp import http_exceptions, web
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import _ErrInfo

from service.errors import AtCapacity, UnsupportedEncoding
from service.web import problems
from service.web.context import REQUEST_ID_HEADER
from service.web.representation import SERVER

log = structlog.get_logger(__name__)

HEAD_TIMEOUT_S: Final = 60.0
"""Time for a request's head to arrive, from the opening of the connection or from the first byte. Generous, because
a busy client may connect long before it sends; when there are too many, the slowest is dropped anyway."""

READ_TIMEOUT_S: Final = 30.0
"""Time for a caller to read from a full buffer; at 64 KiB that is enough on the slowest network."""

KEEP_ALIVE_S: Final = 75.0
"""Time an idle connection stays open. Longer than a load balancer's 60 s, so that the balancer never sends a request on
a connection that is just being closed, which would become a 502."""

PIPELINE_TIMEOUT_S: Final = 2.0
"""Time that a request may take while its connection is not read, because too much waits behind it: aiohttp stops
reading then, and nothing shows whether the caller has left."""

_SWEEP_INTERVAL_S: Final = 0.5


class Connections:
    """All connections of one server, up to `limit` at once.

    When one too many opens, the connection that has waited longest for a head is dropped, or else the one that has
    been idle longest. If all are busy, the new one is rejected with 503.
    """

    def __init__(
        self,
        limit: int,
        *,
        head_timeout: float = HEAD_TIMEOUT_S,
        keep_alive: float = KEEP_ALIVE_S,
        read_timeout: float = READ_TIMEOUT_S,
        pipeline_timeout: float = PIPELINE_TIMEOUT_S,
    ) -> None:
        self._limit = limit
        # Each table is ordered by time, so only its first connection can have expired.
        self.awaiting_head = _Table(head_timeout)
        self.idle = _Table(keep_alive)
        self.blocked = _Table(read_timeout)
        """Connections whose send buffer is full."""
        self.unread = _Table(pipeline_timeout)
        """Connections that aiohttp has stopped reading."""
        self.open = 0
        self.dropped = 0
        """Connections that were dropped or rejected, other than idle ones that expired."""
        self._timer: asyncio.TimerHandle | None = None

    def opened(self, connection: HttpConnection) -> None:
        """Count a new connection; drop or reject one if there are too many."""
        if self._timer is None:
            self._sweep()
        self.open += 1
        connection.enter(self.awaiting_head)
        if self.open > self._limit:
            self.dropped += 1
            other = self.awaiting_head.first(unless=connection) or self.idle.first()
            if other is not None:
                other.drop()
            else:
                connection.reject()

    def lost(self) -> None:
        """Count a connection that closed."""
        self.open -= 1

    def close(self) -> None:
        """Stop the sweep."""
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        for table in (self.awaiting_head, self.idle, self.blocked):
            while (connection := table.expired(loop.time())) is not None:
                if table is not self.idle:  # most connections end idle
                    self.dropped += 1
                connection.drop()
        while (connection := self.unread.expired(loop.time())) is not None:
            connection.read_no_more_requests()
        self._timer = loop.call_later(_SWEEP_INTERVAL_S, self._sweep)


class _Table(dict["HttpConnection", float]):
    """Connections in one state, each with the time it entered, oldest first; they expire after `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def first(self, unless: HttpConnection | None = None) -> HttpConnection | None:
        """Return the oldest connection, or None if that is `unless`."""
        connection = next(iter(self), None)
        return None if connection is unless else connection

    def expired(self, now: float) -> HttpConnection | None:
        """Return the oldest connection if it has expired."""
        connection = self.first()
        return None if connection is None or now - self[connection] < self.seconds else connection


class HttpConnection(web.RequestHandler):
    """One connection and its state: awaiting a head, busy with a request, or idle between two requests."""

    __slots__ = ("_connections", "_gone", "_refusing", "_socket", "_state")

    def __init__(self, server: web.Server, connections: Connections) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), keepalive_timeout=KEEP_ALIVE_S, access_log=None)  # type: ignore[arg-type]  # its default logs
        self._connections = connections
        self._state: _Table | None = None
        self._gone = False
        self._refusing = False
        self._socket: asyncio.Transport

    def enter(self, state: _Table | None) -> None:
        """Enter a state; None means busy, which has no time limit here."""
        if self._state is not None:
            self._state.pop(self, None)
        if state is not None:
            state[self] = self._loop.time()
        self._state = state

    def begin(self) -> None:
        """Mark the connection as busy: a request has arrived."""
        self.enter(None)
        if self._connections.unread.pop(self, None) is not None:
            self._connections.unread[self] = self._loop.time()  # those before it were answered in time

    def end(self) -> None:
        """Mark the connection as idle: the response is ready."""
        if not self._gone:
            self.enter(self._connections.idle)

    def drop(self) -> None:
        """Close the connection at once, even with data left to send."""
        self._leave()
        self._socket.abort()

    def reject(self) -> None:
        """Close the connection with a 503 before any request arrives."""
        self._leave()
        self._socket.write(_TOO_MANY_CONNECTIONS)
        self._socket.close()

    def _leave(self) -> None:
        self.enter(None)
        self._connections.blocked.pop(self, None)
        self._connections.unread.pop(self, None)

    def read_no_more_requests(self) -> None:
        """Read on, so that the end of the connection is noticed, but ignore what comes.

        The complete requests that wait are still answered; then a 429 closes the connection.
        """
        self._refusing = True
        while self._messages and not self._messages[-1][1].is_eof():
            self._messages.pop()  # its body will not be read
        self._messages.append((_TOO_MANY_REQUESTS, EMPTY_PAYLOAD))
        self._lingering_time = 0.0  # nor will that of the request in progress
        self._resume_transport_reading()

    def _pause_transport_reading(self) -> None:
        # The one place where aiohttp stops reading, whatever the reason.
        if not self._refusing:
            self._connections.unread.setdefault(self, self._loop.time())
            super()._pause_transport_reading()

    def _resume_transport_reading(self) -> None:
        self._connections.unread.pop(self, None)
        super()._resume_transport_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the connection."""
        self._socket = cast("asyncio.Transport", transport)  # uvloop's does not subclass it
        super().connection_made(transport)
        if self._keepalive_handle is not None:
            # The table of idle connections replaces a timer per connection, the largest single part of a request's
            # memory. aiohttp does not create another timer while it holds this handle.
            self._keepalive_handle.cancel()
        self._connections.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Unregister the connection."""
        self._gone = True
        self._leave()
        self._connections.lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Start the timeout for the next head at its first byte."""
        if self._refusing:
            return
        if data and self._state is self._connections.idle:
            self.enter(self._connections.awaiting_head)
        super().data_received(data)

    def pause_writing(self) -> None:
        """Start the read timeout: the caller reads too slowly."""
        self._connections.blocked[self] = self._loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Stop the read timeout: the caller has caught up."""
        self._connections.blocked.pop(self, None)
        super().resume_writing()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Respond with a problem to a request that never reaches a route; log nothing of what was sent."""
        if request.writer.output_size > 0:
            raise ConnectionError("the response head has been sent")
        request_id = str(uuid4())
        if isinstance(exc, http_exceptions.ContentEncodingError):
            problem = problems.from_problem(UnsupportedEncoding(problems.ENCODINGS_DETAIL), "", request_id)
        elif exc is _TOO_MANY_REQUESTS.exc:
            problem = problems.from_status(429, request_id=request_id, detail=_TOO_MANY_REQUESTS.message)
        elif isinstance(exc, http_exceptions.LineTooLong):
            problem = problems.from_status(431, request_id=request_id)
        elif status == 400:
            problem = problems.from_status(400, request_id=request_id)
        else:
            log.error("unexpected_error", request_id=request_id, exc_info=exc)
            problem = problems.unexpected("", request_id)
        log.info("bad_request", status=problem.status, request_id=request_id)
        response = problem.to_response()
        response.headers[REQUEST_ID_HEADER] = request_id
        response.headers.update(SERVER)  # it bypasses the application's signals
        response.force_close()
        return response


_TOO_MANY_REQUESTS: Final = _ErrInfo(
    status=429,
    exc=http_exceptions.HttpProcessingError(code=429),
    message="Too many requests, or too large a body, came on this connection before an earlier response.",
)


def _too_many_connections() -> bytes:
    problem = problems.from_problem(AtCapacity("Too many connections are open."), "", "")
    headers = {
        "Content-Type": problem.content_type,
        "Content-Length": str(len(problem.body)),
        "Connection": "close",
        **problem.headers,
        **SERVER,
    }
    lines = (f"{name}: {value}\r\n" for name, value in headers.items())
    return b"HTTP/1.1 503 Service Unavailable\r\n%b\r\n%b" % ("".join(lines).encode(), problem.body)


_TOO_MANY_CONNECTIONS: Final = _too_many_connections()

"""One HTTP connection: its state, the errors that no route sees, and its end."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

import structlog
from aiohttp import hdrs, http_exceptions, web
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import _ErrInfo

from service.bridge.envelope import MAX_INPUT_BYTES
from service.errors import AtCapacity
from service.web import problems
from service.web.context import REQUEST_ID_HEADER, new_request_id
from service.web.representation import SERVER, Representation

if TYPE_CHECKING:
    from service.web.connections import Connections, Table

log = structlog.get_logger(__name__)

MAX_BODY_BYTES: Final = 2 * MAX_INPUT_BYTES
"""The most that is received for one body, its chunked coding included: tiny chunks cost more than what they carry."""

MAX_DISCARDED_BYTES: Final = 10 * 1024 * 1024
"""The most that a caller may send that nobody reads; API Gateway passes on no larger body."""


class HttpConnection(web.RequestHandler):
    """One connection and its state: awaiting a head, busy with a request, or idle between two requests."""

    __slots__ = ("_body_bytes", "_connections", "_discarded", "_discarding", "_gone", "_socket", "_state")

    def __init__(self, server: web.Server, connections: Connections) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # its default logs
            auto_decompress=False,  # `service.web.bodies` does it
        )
        self._connections = connections
        self._state: Table | None = None
        self._gone = False
        self._body_bytes = 0
        """What has been received of the body that is being read."""
        self._discarding = False
        """Whether what arrives is ignored: the connection closes after the responses that are due."""
        self._discarded = 0
        self._socket: asyncio.Transport

    def enter(self, state: Table | None) -> None:
        """Enter a state; None means busy, which has no time limit here."""
        if self._state is not None:
            self._state.pop(self, None)
        if state is not None:
            state[self] = self._loop.time()
        self._state = state

    def begin(self) -> None:
        """Mark the connection as busy: a request has arrived."""
        self.enter(None)
        self._body_bytes = 0
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

    def close_gracefully(self) -> None:
        """Close the connection when the caller has read what is left to send, for which it has the read timeout."""
        self.enter(None)
        # What is left may be too little to stop writing, which would have started the timeout.
        self._connections.blocked.setdefault(self, self._loop.time())
        self._socket.close()

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
        self._discarding = True
        while self._messages and not self._messages[-1][1].is_eof():
            self._messages.pop()  # its body will not be read
        self._messages.append((_TOO_MANY_REQUESTS, EMPTY_PAYLOAD))
        self._resume_transport_reading()

    def _pause_transport_reading(self) -> None:
        # The one place where aiohttp stops reading, whatever the reason.
        if not self._discarding:
            self._connections.unread.setdefault(self, self._loop.time())
            super()._pause_transport_reading()

    def _resume_transport_reading(self) -> None:
        self._connections.unread.pop(self, None)
        super()._resume_transport_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the connection."""
        self._socket = cast("asyncio.Transport", transport)  # uvloop's does not subclass it
        super().connection_made(transport)
        if self._task_handler is not None:
            # A coroutine around aiohttp's would be there for as long as the connection, and takes 400 bytes.
            self._task_handler.add_done_callback(self._ended)
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
        """Start the timeout for the next head at its first byte; limit what is received of a body."""
        if self._discarding:
            self._discarded += len(data)
            if self._discarded > MAX_DISCARDED_BYTES:
                self._connections.dropped += 1
                self.drop()
            return
        if data and self._state is self._connections.idle:
            self.enter(self._connections.awaiting_head)
        request = self._current_request
        body = None if request is None or request.content.is_eof() else request.content
        if body is not None:
            self._body_bytes += len(data)
            if self._body_bytes > MAX_BODY_BYTES:
                self._discarding = True
                body.set_exception(web.HTTPRequestEntityTooLarge(MAX_INPUT_BYTES, self._body_bytes))
                return
        super().data_received(data)
        if body is not None and self._messages and not body.is_eof():  # only a parser's error can follow it
            body.set_exception(web.RequestPayloadError("malformed"))

    def pause_writing(self) -> None:
        """Start the read timeout: the caller reads too slowly."""
        self._connections.blocked[self] = self._loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Stop the read timeout: the caller has caught up."""
        self._connections.blocked.pop(self, None)
        super().resume_writing()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Respond also to a request of which aiohttp cannot even make a request, which ends its task."""
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._gone:
            self._socket.write(_message(*self._problem(400 if isinstance(error, ValueError) else 500, error)))
            self._linger()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response; if the request has not arrived completely, it is the last one.

        aiohttp would read the rest of the body first, and close the connection after some seconds. A
        caller that still sends then would lose the response to a reset.
        """
        incomplete = not request.content.is_eof() or request.content.exception() is not None
        # aiohttp loses what it has received behind a request for another protocol, and answers what comes later.
        incomplete = incomplete or request._message.upgrade  # noqa: SLF001 - the parser's verdict, by two headers
        last = incomplete or (self._discarding and not self._messages)
        if last:
            self._discarding = True
            resp.force_close()
        sent, gone = await super().finish_response(request, resp, start_time)
        if last:
            self._linger()
        # aiohttp keeps what this returns until the next response on this connection.
        return _KEPT_ALIVE if sent.keep_alive else _LAST, gone

    def _linger(self) -> None:
        """Close the connection for sending only, until the caller closes it, too."""
        self._discarding = True
        if not self._gone:
            self.enter(self._connections.lingering)
            self._lingering_time = 0.0
            self._resume_transport_reading()
            self.transport = None  # aiohttp would close it
            self._socket.write_eof()

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
        if isinstance(exc, UnicodeEncodeError) and hdrs.EXPECT in request.headers:
            status = 417  # aiohttp fails to repeat an expectation that is not UTF-8
        problem, request_id = self._problem(status, exc)
        response = problem.to_response()
        response.headers[REQUEST_ID_HEADER] = request_id
        response.headers.update(SERVER)  # it bypasses the application's signals
        self._discarding = True
        self._messages.clear()  # what came behind it may be a part of it
        return response

    def _problem(self, status: int, exc: BaseException | None) -> tuple[Representation, str]:
        request_id = new_request_id()
        if exc is _TOO_MANY_REQUESTS.exc:
            problem = problems.from_status(429, request_id=request_id, detail=_TOO_MANY_REQUESTS.message)
        elif isinstance(exc, http_exceptions.LineTooLong) or _TOO_MANY_FIELDS in str(exc):
            problem = problems.from_status(431, request_id=request_id)
        elif status != 500:
            problem = problems.from_status(status, request_id=request_id)
        else:
            log.error("unexpected_error", request_id=request_id, exc_info=exc)
            problem = problems.unexpected("", request_id)
        log.info("bad_request", status=problem.status, request_id=request_id)
        return problem, request_id


def _message(problem: Representation, request_id: str = "") -> bytes:
    """Write a whole HTTP response, after which the connection closes."""
    headers = {
        "Content-Type": problem.content_type,
        "Content-Length": str(len(problem.body)),
        "Connection": "close",
        **({REQUEST_ID_HEADER: request_id} if request_id else {}),
        **problem.headers,
        **SERVER,
    }
    lines = (f"{name}: {value}\r\n" for name, value in headers.items())
    status = f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\n"
    return (status + "".join(lines) + "\r\n").encode() + problem.body


class _KeptAlive(web.StreamResponse):
    """Stands for any response after which its connection stays open."""

    @property
    def keep_alive(self) -> bool:
        return True


_KEPT_ALIVE: Final = _KeptAlive()

_LAST: Final = web.StreamResponse()
"""Stands for any response after which its connection closes."""

_TOO_MANY_REQUESTS: Final = _ErrInfo(
    status=429,
    exc=http_exceptions.HttpProcessingError(),
    message="Too many requests, or too large a body, came on this connection before an earlier response.",
)


_TOO_MANY_FIELDS: Final = "Too many headers"
"""What aiohttp's parser says of more than 128 headers or trailers."""

_TOO_MANY_CONNECTIONS: Final = _message(problems.from_problem(AtCapacity("Too many connections are open."), "", ""))

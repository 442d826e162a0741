"""One HTTP/1.1 connection, which carries one request after the other (RFC 9112)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import httptools

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_RESPONSE_BYTES: Final = 4 * 2**20
"""Bytes of a response. The largest is that of DescribeExecution: input and output of 256 KiB each, in which every byte
may be written as six (`\\u0022`)."""

MAX_HEAD_BYTES: Final = 2**15
"""Bytes of a response in which its head must end."""


class ConnectionClosedError(ConnectionError):
    """The connection was closed before a byte of the response arrived."""


class MalformedResponseError(ConnectionError):
    """The response is no HTTP, too large, or cut off."""


class Connection(asyncio.Protocol):
    """A connection to one server.

    A connection that is out of step (a call that was cancelled or timed out, bytes that nobody asked for) is closed,
    so a response never meets another call's request. `on_lost` is called once the connection has ended.
    """

    __slots__ = (
        "_body",
        "_deadline",
        "_head_done",
        "_headers",
        "_on_lost",
        "_parser",
        "_received",
        "_response",
        "_transport",
        "idle_since",
        "lost",
        "on_header",
        "reusable",
        "use_until",
    )

    def __init__(self, on_lost: Callable[[Connection], None]) -> None:
        self._on_lost = on_lost
        self._headers: dict[bytes, bytes] = {}
        self.on_header = self._headers.__setitem__  # called by the parser, for each header, without a Python frame
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._response: asyncio.Future[tuple[int, bytes]] | None = None
        self._body: list[bytes] = []
        self._deadline = 0.0
        self._received = 0
        self._head_done = False
        self.reusable = False
        """Whether another request may follow the last response."""
        self.use_until = 0.0
        """When the connection is too old, by the event loop's clock."""
        self.idle_since: float | None = None
        """Since when no call uses it, by the event loop's clock; None while one does."""
        self.lost = asyncio.get_running_loop().create_future()
        """Done once the connection has ended."""

    @property
    def closing(self) -> bool:
        """Whether the connection has ended or is about to."""
        return self._transport.is_closing()

    @property
    def date(self) -> bytes:
        """When the last response was sent, by the server's clock (RFC 9110, 6.6.1); empty if it does not say."""
        return self._headers.get(b"Date") or self._headers.get(b"date", b"")

    async def exchange(self, request: bytes, deadline: float) -> tuple[int, bytes]:
        """Send a request, if the connection is not `closing`, and return the status and the body of its response.

        Raise TimeoutError at the deadline, if `expire` is called then; ConnectionClosedError if the connection was
        closed before a byte of the response; MalformedResponseError or OSError otherwise.
        """
        response: asyncio.Future[tuple[int, bytes]] = self.lost.get_loop().create_future()
        self._response = response
        self._deadline = deadline
        self._received = 0
        self._head_done = self.reusable = False
        try:
            self._transport.write(request)
            return await response
        except BaseException:  # a call may be cancelled even when its response has just come
            self._response = None
            self.abort()
            raise

    def expire(self, now: float) -> None:
        """Fail the call if its deadline has passed."""
        if self._response is not None and now >= self._deadline:
            self._fail(TimeoutError())

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport (asyncio.Protocol)."""
        self._transport = transport  # type: ignore[assignment]  # a stream's transport has all that is used here

    def data_received(self, data: bytes) -> None:
        """Parse a part of a response (asyncio.Protocol)."""
        if self._response is None:  # nobody asked for it
            self.abort()
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(MalformedResponseError(type(error).__name__))
        else:
            if self._received > (MAX_RESPONSE_BYTES if self._head_done else MAX_HEAD_BYTES):
                self._fail(MalformedResponseError("too large"))

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the call that awaits a response, or end a response that the end of the connection delimits."""
        if self._response is not None:
            if error is None and self._ends_with_connection():
                self._finish(reusable=False)
            elif not self._received:
                self._fail(ConnectionClosedError())
            else:
                self._fail(error if isinstance(error, OSError) else MalformedResponseError("cut off"))
        self.reusable = False
        if not self.lost.done():
            self.lost.set_result(None)
        self._on_lost(self)

    # The parser calls the following.

    def on_message_begin(self) -> None:
        """Prepare for a response: the first, or the next one after an informational one."""
        if self._response is None:
            raise MalformedResponseError("a response without a request")
        self._headers.clear()
        self._body = []
        self._head_done = False

    def on_headers_complete(self) -> None:
        """Note that the head is complete."""
        self._head_done = True

    def on_body(self, part: bytes) -> None:
        """Keep a part of the body."""
        self._body.append(part)

    def on_message_complete(self) -> None:
        """Finish the call, unless the response was an informational one (RFC 9110, 15.2)."""
        if self._parser.get_status_code() >= 200:
            self._finish(reusable=self._parser.should_keep_alive())
        else:
            self._head_done = False

    def _ends_with_connection(self) -> bool:
        """Return whether the response has a head and neither its length nor chunks (RFC 9112, 6.3)."""
        delimited = {b"content-length", b"transfer-encoding"}
        return self._head_done and delimited.isdisjoint(map(bytes.lower, self._headers))

    def _finish(self, *, reusable: bool) -> None:
        response, self._response = self._response, None
        self.reusable = reusable
        body, self._body = self._body, []
        if response is not None and not response.done():  # it is done if the call was cancelled just now
            response.set_result((self._parser.get_status_code(), body[0] if len(body) == 1 else b"".join(body)))

    def _fail(self, error: Exception) -> None:
        response, self._response = self._response, None
        self._body = []
        self.reusable = False
        if response is not None and not response.done():
            response.set_exception(error)
        self.abort()

"""HTTP proxies: what a request through one looks like, and tunnels (RFC 9110, 9.3.6)."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import Self
from urllib.parse import unquote_to_bytes

import httptools

from service.stepfunctions.address import Address
from service.stepfunctions.http1 import MAX_HEAD_BYTES


class Proxy:
    """The proxy at `url`, an http or https URL, maybe with user and password; raise ValueError if it is another one."""

    def __init__(self, url: str) -> None:
        self.address = Address.parse(url)
        """Where it is."""
        self.header = ""
        """The header line that authorises requests, if it needs one."""
        if self.address.user is not None:
            user, _, password = self.address.user.partition(":")
            credentials = b64encode(unquote_to_bytes(user) + b":" + unquote_to_bytes(password)).decode()
            self.header = f"Proxy-Authorization: Basic {credentials}\r\n"

    def connect_request(self, target: Address) -> bytes:
        """Return the request for a tunnel to `target`."""
        host = target.host_and_port
        return f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n{self.header}\r\n".encode("ascii")


class ProxyRefusedError(ConnectionError):
    """The proxy does not open the tunnel."""


class Tunnel(asyncio.Protocol):
    """A connection to a proxy while it opens a tunnel."""

    def __init__(self) -> None:
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._received = 0
        self._accepted = False
        self._transport: asyncio.Transport

    async def open(self, request: bytes) -> Self:
        """Send the request for the tunnel; return once it is open. Raise ProxyRefusedError. The caller has a timer."""
        self._transport.write(request)
        await self._opened
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport (asyncio.Protocol)."""
        self._transport = transport  # type: ignore[assignment]  # a stream's transport has all that is used here

    def data_received(self, data: bytes) -> None:
        """Parse a part of the response (asyncio.Protocol)."""
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse("no HTTP")
        else:
            if self._received > MAX_HEAD_BYTES:
                self._refuse("too large")
            elif self._accepted and not self._opened.done():
                self._opened.set_result(None)

    def connection_lost(self, _error: Exception | None) -> None:
        """Note that the proxy has closed the connection (asyncio.Protocol)."""
        self._refuse("closed")

    def on_headers_complete(self) -> None:
        """Note the status; called by the parser. Nothing after the head of a 2xx belongs to the response."""
        status = self._parser.get_status_code()
        if status >= 300:
            self._refuse(str(status))
        else:
            self._accepted = status >= 200

    def on_body(self, _body: bytes) -> None:
        """Note that the proxy talks into the tunnel; called by the parser. The other end has nothing to say yet."""
        self._refuse("data before TLS")

    def on_message_begin(self) -> None:
        """Note that another response follows; called by the parser."""
        if self._accepted:
            self._refuse("data before TLS")

    def _refuse(self, reason: str) -> None:
        if not self._opened.done():
            self._opened.set_exception(ProxyRefusedError(reason))
        else:
            self._transport.abort()  # TLS has not begun, and would wait for what has been read here

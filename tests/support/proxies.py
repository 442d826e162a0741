"""A forward proxy and TLS in front of servers on this machine, for names that only the proxy resolves."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64decode
from urllib.parse import urlsplit

from tests.support.tcp import Server, forward


class TlsFront(Server):
    """TLS in front of the server at `port`."""

    def __init__(self, port: int, tls: ssl.SSLContext) -> None:
        super().__init__(tls)
        self._target = port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await forward(reader, writer, self._target)


class ForwardProxy(Server):
    """A proxy for tunnels and for requests with an http URL; all of them go to `port`, whatever their host is."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self._target = port
        self.asked: list[str] = []
        """The host and port of each tunnel and request."""
        self.users: set[str | None] = set()
        """The user and password that they brought."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        user = head.lower().partition(b"proxy-authorization: basic ")[2]
        start = len(head) - len(user)
        self.users.add(b64decode(head[start:].split(b"\r\n")[0]).decode() if user else None)
        if method == "CONNECT":
            self.asked.append(target)
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await forward(reader, writer, self._target)
        else:
            self.asked.append(urlsplit(target).netloc)
            await forward(reader, writer, self._target, head)

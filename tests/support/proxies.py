"""A forward proxy and TLS in front of servers on this machine, for names that only the proxy resolves."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64decode
from typing import Self
from urllib.parse import urlsplit


class _Server:
    """A TCP server whose connections end with it."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._run(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class TlsFront(_Server):
    """TLS in front of the server at `port`."""

    def __init__(self, port: int, tls: ssl.SSLContext) -> None:
        super().__init__(tls)
        self._target = port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _splice(reader, writer, self._target)


class ForwardProxy(_Server):
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
            await _splice(reader, writer, self._target)
        else:
            self.asked.append(urlsplit(target).netloc)
            await _splice(reader, writer, self._target, head)


async def _splice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, sent: bytes = b"") -> None:
    """Connect a client with the server at `port` until either ends; `sent` has been read from the client already."""
    from_target, to_target = await asyncio.open_connection("127.0.0.1", port)
    to_target.write(sent)
    pumps = [asyncio.create_task(_pump(reader, to_target)), asyncio.create_task(_pump(from_target, writer))]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        to_target.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()

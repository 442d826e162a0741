"""TCP servers that do exactly what a test says."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Self, TypeAlias

Handler: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def tcp_server(handle: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve each connection by `handle` and close it then; yield the port."""
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await handle(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            writer.transport.abort()
            serving.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in serving:
            task.cancel()
        if serving:
            await asyncio.wait(serving)


class Server:
    """A server of `tcp_server` with a state of its own."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._running = AsyncExitStack()
        self.port: int

    async def __aenter__(self) -> Self:
        self.port = await self._running.enter_async_context(tcp_server(self._serve, self._tls))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._running.aclose()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Read everything and write nothing."""
    while await reader.read(65536):
        pass


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read an HTTP request; return its head and its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return head, await reader.readexactly(int(length or 0))


def response(body: bytes = b"{}", *headers: str, status: int = 200) -> bytes:
    """Return an HTTP response."""
    head = "".join(f"{header}\r\n" for header in (f"Content-Length: {len(body)}", *headers))
    return f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode() + body


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, sent: bytes = b"") -> None:
    """Connect a client with `port` of this machine until either ends; `sent` has been read from the client already."""
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
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


class ConnectProxy:
    """An HTTP proxy that opens tunnels to ports of this machine."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        """The heads of the requests."""
        self.silent = False
        """Whether requests get no response."""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        if self.silent:
            return await silence(reader, writer)
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Connection established\r\n")
        await writer.drain()
        writer.write(b"Via: test\r\n\r\n")
        return await forward(reader, writer, int(self.requests[-1].split(maxsplit=2)[1].rpartition(b":")[2]))


@contextmanager
def full_backlog() -> Iterator[int]:
    """Listen on a port whose queue is full, so that connecting to it takes forever; yield the port."""
    with socket.socket() as listening, socket.socket() as first, socket.socket() as second:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for queued in (first, second):
            queued.setblocking(False)
            with suppress(BlockingIOError):
                queued.connect(listening.getsockname())
        yield listening.getsockname()[1]


@contextmanager
def free_port() -> Iterator[int]:
    """Yield a port on which nothing listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]

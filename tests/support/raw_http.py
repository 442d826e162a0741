"""The service behind raw connections, for what an HTTP client would not send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from service.app import composition
from service.web.connections import Connections, Site
from tests.support.front import routes
from tests.support.stage import Stage, stage


class Listening:
    """A listening service and raw connections to it."""

    def __init__(self, made: Stage, connections: Connections, port: int) -> None:
        self.stage = made
        self.connections = connections
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self, sent: bytes = b"") -> asyncio.StreamReader:
        """Open a connection and send `sent`."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1024)
        self._writers.append(writer)
        writer.write(sent)
        return reader

    def send(self, data: bytes) -> None:
        """Send `data` on the newest connection."""
        self._writers[-1].write(data)

    async def opened(self, number: int) -> None:
        """Wait until `number` connections are open."""
        async with asyncio.timeout(10):
            while self.connections.open != number:  # noqa: ASYNC110 - the count has no event to wait for
                await asyncio.sleep(0.01)

    def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def listening(limit: int = 100, **limits: float) -> AsyncIterator[Listening]:
    async with stage() as made, AsyncExitStack() as stack:
        runner = await composition._runner(stack, routes(made).application())
        connections = Connections(limit, **limits)
        site = Site(runner, "127.0.0.1", 0, backlog=128, connections=connections)
        await site.start()
        it = Listening(made, connections, runner.addresses[0][1])
        try:
            yield it
        finally:
            it.close()


async def head(reader: asyncio.StreamReader) -> tuple[bytes, dict[bytes, bytes]]:
    """Read a response head."""
    async with asyncio.timeout(20):
        status = await reader.readline()
        lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    return status.rstrip(), {
        name.lower(): value for name, _, value in (line.partition(b": ") for line in lines if line)
    }


async def closed(reader: asyncio.StreamReader) -> bytes:
    """Wait until the service closes the connection; return what it sent before."""
    async with asyncio.timeout(20):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""

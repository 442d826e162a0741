"""The service behind raw connections, for what an HTTP client would not send."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast

from service.app import composition
from service.stepfunctions.token_bucket import Quota
from service.web.connections import Connections
from service.web.progress import HeldProgress
from service.web.site import Site
from tests.support.front import routes
from tests.support.stage import Stage, stage


class Listening:
    """A listening service and raw connections to it."""

    def __init__(self, made: Stage, held: HeldProgress, connections: Connections, port: int) -> None:
        self.stage = made
        self.held = held
        self.connections = connections
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self, sent: bytes = b"", receive_buffer: int | None = None) -> asyncio.StreamReader:
        """Open a connection, perhaps with a small buffer for what it does not read, and send `sent`."""
        connected = socket.socket()
        connected.setblocking(False)
        if receive_buffer is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(connected, ("127.0.0.1", self._port))
        reader, writer = await asyncio.open_connection(sock=connected, limit=1024)
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

    def end(self, how: str) -> None:
        """End the newest connection by a FIN after all that was sent, or at once by an RST."""
        writer = self._writers[-1]
        if how == "RST":
            option = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
            writer.transport.abort()
        else:
            writer.close()

    def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def listening(
    limit: int = 100, *, max_in_flight: int = 10, send_buffer: int | None = None, **limits: float
) -> AsyncIterator[Listening]:
    quotas = {"describe": Quota(10_000, 10_000)}
    async with stage(max_in_flight=max_in_flight, quotas=quotas) as made, AsyncExitStack() as stack:
        served = routes(made, response_timeout=30, stream_timeout=30)
        runner = await composition._runner(stack, served.application())
        connections = Connections(limit, **limits)
        site = Site(runner, "127.0.0.1", 0, backlog=128, connections=connections)
        await site.start()
        if send_buffer is not None:  # connections inherit it
            cast("asyncio.Server", site._server).sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        it = Listening(made, served._workflow_routes[0]._held, connections, runner.addresses[0][1])
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

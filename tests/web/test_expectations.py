from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from structlog.testing import capture_logs

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
    async with stage() as made:
        runner = web.AppRunner(
            routes(made).application(), access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await runner.setup()
        connections = Connections(limit, **limits)
        site = Site(runner, "127.0.0.1", 0, backlog=128, connections=connections)
        await site.start()
        it = Listening(made, connections, runner.addresses[0][1])
        try:
            yield it
        finally:
            it.close()
            await runner.cleanup()


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


async def test_a_caller_that_expects_100_continue_gets_it() -> None:
    async with listening() as it:
        body = b"not json"
        post = b"POST /event HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: %d\r\n\r\n"
        reader = await it.connect(post % len(body))
        async with asyncio.timeout(20):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        it.send(body)
        assert (await head(reader))[0] == b"HTTP/1.1 415 Unsupported Media Type"


@pytest.mark.parametrize("target", ["POST /event", "POST /nowhere", "PUT /event", "GET /healthz"])
async def test_an_unknown_expectation_is_a_problem_on_every_path(target: str) -> None:
    async with listening() as it:
        with capture_logs() as logs:
            reader = await it.connect(f"{target} HTTP/1.1\r\nHost: x\r\nExpect: Secret\r\n\r\n".encode())
            status, headers = await head(reader)
            body = await closed(reader)
            problem = json.loads(body)
        assert status == b"HTTP/1.1 417 Expectation Failed"
        assert headers[b"content-type"] == b"application/problem+json"
        assert (int(headers[b"content-length"]), headers[b"connection"]) == (len(body), b"close")
        assert (problem["type"], problem["status"]) == ("about:blank", 417)
        assert [entry["request_id"] for entry in logs] == [problem["request_id"]]
        assert "Secret" not in f"{problem} {logs}"


async def test_an_expectation_in_http_1_0_is_ignored() -> None:
    async with listening() as it:
        reader = await it.connect(b"GET /healthz HTTP/1.0\r\nExpect: anything\r\n\r\n")
        assert (await head(reader))[0] == b"HTTP/1.0 200 OK"

"""Readiness, forced shutdown and the flush. tests/integration tests the rest, in separate processes."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from yarl import URL

from service.app import shutdown
from service.app.shutdown import Shutdown, flush
from service.local import LocalAws
from tests.support.served import served, until
from tests.support.within import within


async def test_a_request_sent_just_before_the_shutdown_is_answered() -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response()

    application = web.Application()
    application.router.add_get("/", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    reader, writer = await asyncio.open_connection(*runner.addresses[0])
    async with asyncio.timeout(10):
        while runner.server is None or not runner.server.connections:  # noqa: ASYNC110 - the server has no event to wait for
            await asyncio.sleep(0.01)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await flush(runner, Shutdown(), 1)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()
    await runner.cleanup()


async def test_a_request_in_flight_at_the_shutdown_gets_its_result() -> None:
    async with LocalAws(port=0, wait=0.5) as aws, served(aws, {"DRAIN_TIMEOUT": "10"}) as it:
        waiting = it.post()
        await until(lambda: aws.running)
        it.shutdown.request()
        async with within(8):
            assert (await waiting)[0] == 200


async def test_a_request_that_arrives_at_the_end_of_the_drain_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "LAST_READ_S", 1.0)
    async with LocalAws(port=0) as aws, served(aws) as it:
        reader, writer = await asyncio.open_connection("127.0.0.1", URL(it.url).port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        async with within(10):
            await reader.readuntil(b"}")
            it.shutdown.request()
            await asyncio.sleep(0.2)  # this test is about time
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 503 " in await reader.readline()
        writer.close()

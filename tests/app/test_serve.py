"""Readiness, forced shutdown and the flush. tests/integration tests the rest, in separate processes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from service.app import composition
from service.app.shutdown import Shutdown, flush
from service.errors import Draining
from tests.support.stage import stage


async def test_an_instance_is_ready_while_its_subscription_is_live() -> None:
    async with stage() as made:
        assert composition.not_ready(made.admission, made.channel) is None


async def test_an_instance_whose_link_was_never_up_is_not_ready() -> None:
    async with stage() as made:
        made.channel.ever_live = False
        made.channel.go_down()
        assert composition.not_ready(made.admission, made.channel) == "link never up"


async def test_a_short_reconnect_does_not_take_an_instance_out_of_service_but_a_long_outage_does() -> None:
    async with stage() as made:
        made.channel.go_down(since=composition.READY_GRACE_S / 2)
        assert composition.not_ready(made.admission, made.channel) is None
        made.channel.go_down(since=composition.READY_GRACE_S + 1)
        assert composition.not_ready(made.admission, made.channel) == "link down"
        made.channel.come_up()
        assert composition.not_ready(made.admission, made.channel) is None


async def test_a_draining_instance_is_not_ready() -> None:
    async with stage() as made:
        await made.bridge.drain(1)
        assert composition.not_ready(made.admission, made.channel) == "draining"
        with pytest.raises(Draining):
            await made.bridge.submit("{}", 1)


async def test_a_forced_shutdown_runs_callbacks_added_before_or_after_it() -> None:
    acted = []
    shutdown = Shutdown()
    shutdown.on_force(lambda: acted.append("after"))
    shutdown.request()
    assert (shutdown.requested.is_set(), acted) == (True, [])
    shutdown.request()
    assert acted == ["after"]
    early = Shutdown()
    early.request(force=True)
    early.on_force(lambda: acted.append("before"))
    assert acted == ["after", "before"]


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


@asynccontextmanager
async def server_with_a_stalled_reader() -> AsyncIterator[web.AppRunner]:
    """Run a server that is in the middle of a response that its client does not read."""

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(1_000_000))

    application = web.Application()
    application.router.add_get("/", endless)
    runner = web.AppRunner(application, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    reader, writer = await asyncio.open_connection(*runner.addresses[0], limit=1024)
    async with asyncio.timeout(30):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readline()
        yield runner
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        await runner.cleanup()


async def test_a_flush_ends_within_its_timeout() -> None:
    async with server_with_a_stalled_reader() as runner:
        began = asyncio.get_running_loop().time()
        await flush(runner, Shutdown(), 2)
        assert asyncio.get_running_loop().time() - began < 3.5  # aiohttp would take the two seconds twice


async def test_a_second_signal_shortens_the_flush() -> None:
    async with server_with_a_stalled_reader() as runner:
        shutdown = Shutdown()
        flushing = asyncio.create_task(flush(runner, shutdown, 60))
        await asyncio.wait([flushing], timeout=0.2)
        assert not flushing.done()
        shutdown.request(force=True)
        await asyncio.wait([flushing], timeout=10)
        assert flushing.done()
        shutdown.request()  # a third request has no effect

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web

from service.app import composition
from service.app.shutdown import Shutdown, flush
from tests.support.within import within


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


async def test_a_handler_that_ignores_its_cancellation_delays_the_end_by_less_than_a_second() -> None:
    ended = asyncio.Event()

    async def stubborn(_request: web.Request) -> web.Response:
        while not ended.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await ended.wait()
        return web.Response()

    application = web.Application()
    application.router.add_get("/", stubborn)
    async with within(5), AsyncExitStack() as stack:
        runner = await composition._runner(stack, application)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        _, writer = await asyncio.open_connection(*runner.addresses[0])
        stack.callback(writer.close)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        while runner.server is None or not runner.server.requests_count:  # noqa: ASYNC110 - the count has no event
            await asyncio.sleep(0.01)
        shutdown = Shutdown()
        shutdown.request(force=True)
        await flush(runner, shutdown, 60)
    ended.set()


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

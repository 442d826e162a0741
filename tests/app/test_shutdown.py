from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
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
        assert runner.server is not None
        transport = runner.server.connections[0].transport
        assert transport is not None
        async with within(3.5):  # aiohttp would take the two seconds twice
            await flush(runner, Shutdown(), 2)
        assert transport.get_write_buffer_size() == 0  # what nobody reads keeps no socket open


@asynccontextmanager
async def serving(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    on_shutdown: Callable[[web.Application], Awaitable[None]] | None = None,
) -> AsyncIterator[tuple[web.AppRunner, asyncio.StreamReader]]:
    """Serve and send one request; yield once it has arrived."""
    arrived = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        arrived.set()
        return await handler(request)

    application = web.Application()
    application.router.add_get("/", handle)
    if on_shutdown is not None:
        application.on_shutdown.append(on_shutdown)
    async with AsyncExitStack() as stack:
        runner = await composition._runner(stack, application)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        reader, writer = await asyncio.open_connection(*runner.addresses[0], limit=1024)
        stack.callback(writer.close)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with within(10):
            await arrived.wait()
        yield runner, reader


async def test_nobody_can_connect_during_a_flush() -> None:
    ended = asyncio.Event()

    async def wait(_request: web.Request) -> web.Response:
        await ended.wait()
        return web.Response()

    async with serving(wait) as (runner, _):
        address = runner.addresses[0]
        flushing = asyncio.create_task(flush(runner, Shutdown(), 10))
        await asyncio.wait([flushing], timeout=0.2)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)
        ended.set()
        async with within(5):
            await flushing


async def test_a_flush_does_not_wait_for_an_idle_connection() -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response()

    async with serving(answer) as (runner, reader):
        await reader.readuntil(b"\r\n\r\n")
        async with within(2):
            await flush(runner, Shutdown(), 10)


async def test_a_flush_ends_the_streams_that_last_until_their_caller_leaves() -> None:
    shutting_down = asyncio.Event()

    async def follow(_request: web.Request) -> web.Response:
        await shutting_down.wait()
        return web.Response()

    async def end(_application: web.Application) -> None:
        shutting_down.set()

    async with serving(follow, on_shutdown=end) as (runner, _), within(2):
        await flush(runner, Shutdown(), 10)


async def test_a_caller_that_reads_slowly_gets_its_whole_response() -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.set_write_buffer_limits(high=10_000_000)  # the handler ends long before its caller has read
        return web.Response(body=bytes(8_000_000))

    async with serving(answer) as (runner, reader):
        flushing = asyncio.create_task(flush(runner, Shutdown(), 10))
        await asyncio.wait([flushing], timeout=0.3)
        async with within(10):
            _, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
            await flushing
        assert len(body) == 8_000_000


async def test_a_handler_that_ignores_its_cancellation_delays_the_end_by_less_than_a_second() -> None:
    ended = asyncio.Event()

    async def stubborn(_request: web.Request) -> web.Response:
        while not ended.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await ended.wait()
        return web.Response()

    application = web.Application()
    application.router.add_get("/", stubborn)
    async with AsyncExitStack() as stack, within(5):
        stack.callback(ended.set)
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
        await runner.cleanup()


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

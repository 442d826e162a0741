"""Readiness, forced shutdown and the flush. tests/integration tests the rest, in separate processes."""

from __future__ import annotations

import asyncio

from aiohttp import web

from service.app.shutdown import Shutdown, flush


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

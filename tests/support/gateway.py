"""A stand-in for API Gateway's REST API in front of the service, with its timeouts, and on a scale.

What is known of the original ("Stream the integration response for your proxy integrations", API Gateway developer
guide): a buffered response is passed on when it is complete, and within 29 seconds. A streamed one may take 15 minutes
and be silent for 5; its status and headers are passed on once all headers have arrived. Whether the time before the
first byte counts as silence is not documented: here it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp import hdrs, web

HOP_BY_HOP = {"connection", "content-length", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True)
class Timeouts:
    """Times in seconds."""

    total: float
    """Until the end of the response."""
    silence: float
    """Between two pieces of a streamed response."""

    def scaled(self, factor: float) -> Timeouts:
        return Timeouts(self.total * factor, self.silence * factor)


BUFFERED = Timeouts(29, 29)
STREAMED = Timeouts(900, 300)


class Gateway:
    """Passes requests on to the URL that `choose` returns for each."""

    def __init__(self, choose: Callable[[], str], timeouts: Timeouts, *, streams: bool) -> None:
        self._choose = choose
        self._timeouts = timeouts
        self._streams = streams
        self._client = aiohttp.ClientSession(
            auto_decompress=False, timeout=aiohttp.ClientTimeout(), connector=aiohttp.TCPConnector(limit=0)
        )
        self.url = ""
        self.gave_up: list[str] = []
        """The requests that it gave up: with a status before the response had begun, or else by a cut."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        deadline = asyncio.get_running_loop().time() + self._timeouts.total
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        sent = self._client.request(
            request.method,
            self._choose() + request.path_qs,
            headers=headers,
            data=await request.read(),
            allow_redirects=False,
        )
        try:
            async with (
                asyncio.timeout_at(deadline),
                asyncio.timeout(self._timeouts.silence) as silence,
                sent as response,
            ):
                if self._streams:
                    return await self._stream(request, response, silence)
                return web.Response(status=response.status, headers=passed(response), body=await body_of(response))
        except TimeoutError:
            return self._give_up(request, 504, "Endpoint request timed out")
        except aiohttp.ClientError:
            return self._give_up(request, 500, "Internal server error")

    async def _stream(
        self, request: web.Request, response: aiohttp.ClientResponse, silence: asyncio.Timeout
    ) -> web.StreamResponse:
        if response.status == 504:
            return web.Response(status=504)
        streamed = web.StreamResponse(status=response.status, headers=passed(response))
        await streamed.prepare(request)
        async for piece in response.content.iter_any():
            silence.reschedule(asyncio.get_running_loop().time() + self._timeouts.silence)
            await streamed.write(piece)
        await streamed.write_eof()
        return streamed

    def _give_up(self, request: web.Request, status: int, message: str) -> web.Response:
        begun = request.writer.output_size > 0
        self.gave_up.append(f"{request.method} {request.path}: {'cut' if begun else status}")
        if begun and request.transport is not None:
            request.transport.abort()
        return web.json_response({"message": message}, status=status)

    async def close(self) -> None:
        await self._client.close()


def passed(response: aiohttp.ClientResponse) -> list[tuple[str, str]]:
    """Return the headers that are passed on."""
    return [(name, value) for name, value in response.headers.items() if name.lower() not in HOP_BY_HOP]


async def body_of(response: aiohttp.ClientResponse) -> bytes:
    """Return a body: of a 504, none is passed on."""
    body = await response.read()
    return b"" if response.status == 504 else body


@asynccontextmanager
async def gateway(
    choose: Callable[[], str], timeouts: Timeouts | None = None, *, streams: bool = True
) -> AsyncIterator[Gateway]:
    """Run a gateway until the block ends."""
    made = Gateway(choose, timeouts or (STREAMED if streams else BUFFERED), streams=streams)
    app = web.Application()
    app.router.add_route(hdrs.METH_ANY, "/{path:.*}", made.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()
        await made.close()

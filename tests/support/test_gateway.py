"""The stand-in for API Gateway: what it does to a response, whatever the service behind it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from tests.support.gateway import BUFFERED, STREAMED, Gateway, Timeouts, gateway


@asynccontextmanager
async def behind(
    pieces: list[bytes | float], timeouts: Timeouts, *, streams: bool, status: int = 200
) -> AsyncIterator[tuple[Gateway, aiohttp.ClientSession]]:
    """Run a gateway in front of a server that sends these pieces, with pauses between them."""

    async def respond(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"X-Own": "1"})
        first = True
        for piece in pieces:
            if isinstance(piece, float):
                await asyncio.sleep(piece)
                continue
            if first:
                await response.prepare(request)
            first = False
            await response.write(piece)
        return response

    app = web.Application()
    app.router.add_get("/", respond)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with gateway(lambda: url, timeouts, streams=streams) as made, aiohttp.ClientSession(made.url) as client:
            yield made, client
    finally:
        await runner.cleanup()


async def test_a_stream_is_passed_on_piece_by_piece() -> None:
    gate_never_opens = 60.0
    async with behind([b"a", gate_never_opens], Timeouts(60, 60), streams=True) as (_, client), client.get("/") as got:
        assert (got.status, got.headers["X-Own"]) == (200, "1")
        assert await got.content.readexactly(1) == b"a"


async def test_a_buffered_response_is_passed_on_only_when_it_is_complete() -> None:
    async with behind([b"a", 60.0, b"b"], Timeouts(0.2, 0.2), streams=False) as (made, client), client.get("/") as got:
        assert (got.status, await got.json()) == (504, {"message": "Endpoint request timed out"})
        assert made.gave_up == ["GET /: 504"]


@pytest.mark.parametrize("timeouts", [Timeouts(60, 0.2), Timeouts(0.2, 60)], ids=["silence", "total"])
async def test_a_stream_is_cut_after_a_silence_and_at_its_longest_time(timeouts: Timeouts) -> None:
    async with behind([b"a", 60.0, b"b"], timeouts, streams=True) as (made, client), client.get("/") as got:
        with pytest.raises(aiohttp.ClientError):
            await got.read()
        assert made.gave_up == ["GET /: cut"]


async def test_the_time_before_the_first_byte_counts_as_silence() -> None:
    async with behind([60.0, b"a"], Timeouts(60, 0.2), streams=True) as (made, client), client.get("/") as got:
        assert got.status == 504
        assert made.gave_up == ["GET /: 504"]


@pytest.mark.parametrize("streams", [True, False])
async def test_the_body_of_a_504_is_dropped(streams: bool) -> None:
    async with behind([b"a"], Timeouts(60, 60), streams=streams, status=504) as (made, client), client.get("/") as got:
        assert (got.status, await got.read()) == (504, b"")
        assert made.gave_up == []


def test_its_times_are_those_of_aws() -> None:
    assert (BUFFERED.total, STREAMED.total, STREAMED.silence) == (29, 900, 300)
    assert STREAMED.scaled(0.1) == Timeouts(90, 30)

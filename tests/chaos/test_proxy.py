"""The proxy must inject its faults, or the scenarios test nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.chaos.proxy import Proxy

Ends = tuple[Proxy, asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def echo_behind_a_proxy() -> AsyncIterator[Proxy]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Proxy(f"ws://127.0.0.1:{port}/event/realtime", random.Random(1)) as proxy:
        yield proxy


async def connect(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    assert proxy.url.startswith("ws://127.0.0.1:")
    assert proxy.url.endswith("/event/realtime")
    return await asyncio.open_connection("127.0.0.1", int(proxy.url.split(":")[2].partition("/")[0]))


async def echoed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: bytes) -> bytes:
    writer.write(text)
    async with asyncio.timeout(10):
        return await reader.readexactly(len(text))


async def test_it_forwards_in_both_directions_until_it_is_closed() -> None:
    async with echo_behind_a_proxy() as proxy:
        reader, writer = await connect(proxy)
        assert await echoed(reader, writer, b"hello") == b"hello"
        assert proxy.connections == 1
        writer.write_eof()
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()


async def test_a_reset_breaks_both_sides() -> None:
    async with echo_behind_a_proxy() as proxy:
        reader, writer = await connect(proxy)
        await echoed(reader, writer, b"x")
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(10):
                await reader.read()
        writer.close()


async def test_a_black_hole_discards_data_and_keeps_connections_open() -> None:
    async with echo_behind_a_proxy() as proxy:
        reader, writer = await connect(proxy)
        await echoed(reader, writer, b"x")
        proxy.black_hole = True
        writer.write(b"lost")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.read()
        assert proxy.connections == 1
        proxy.calm()
        assert await echoed(reader, writer, b"found") == b"found"
        writer.close()


async def test_a_half_close_ends_only_the_stream_to_the_client() -> None:
    async with echo_behind_a_proxy() as proxy:
        reader, writer = await connect(proxy)
        await echoed(reader, writer, b"x")
        proxy.half_close()
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        assert proxy.connections == 1
        writer.close()


async def test_refusing_resets_new_connections_and_keeps_existing_ones() -> None:
    async with echo_behind_a_proxy() as proxy:
        old = await connect(proxy)
        await echoed(*old, b"x")
        proxy.refusing = True
        with pytest.raises(ConnectionError):
            await echoed(*await connect(proxy), b"x")
        assert await echoed(*old, b"y") == b"y"
        old[1].close()


@pytest.mark.parametrize(("latency", "bandwidth"), [(0.1, None), (0.0, 10.0)])
async def test_latency_and_bandwidth_slow_data_down(latency: float, bandwidth: float | None) -> None:
    async with echo_behind_a_proxy() as proxy:
        reader, writer = await connect(proxy)
        await echoed(reader, writer, b"x")
        proxy.latency, proxy.bandwidth = latency, bandwidth
        began = asyncio.get_running_loop().time()
        await echoed(reader, writer, b"y")  # there and back
        assert asyncio.get_running_loop().time() - began >= 0.2
        writer.close()

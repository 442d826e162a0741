"""Connections between calls: which are used again, and when they end."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final

import pytest

from service.stepfunctions import pool
from service.stepfunctions.errors import NoResponseError
from service.stepfunctions.transport import AwsJsonClient
from tests.support.step_functions import endpoint_at
from tests.support.tcp import read_request, response, silence, tcp_server

CALL: Final = ("ListStateMachines", {"maxResults": 1})


class Server:
    """Counts connections and requests; what it sends is scripted by connection."""

    def __init__(self) -> None:
        self.connections = 0
        self.open = 0
        self.requests: list[int] = []
        """For each request, the number of its connection."""
        self.scripts: dict[int, list[bytes | None]] = {}
        """For a connection, what is sent in response to each request; None and the end of the list: close."""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        number = self.connections
        script = iter(self.scripts.get(number, [response()] * 1000))
        try:
            while True:
                await read_request(reader)
                self.requests.append(number)
                sent = next(script, None)
                if sent is None:
                    return
                writer.write(sent)
        finally:
            self.open -= 1


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def api(server: Server) -> AsyncIterator[AwsJsonClient]:
    async with tcp_server(server) as port:
        endpoint = endpoint_at(f"http://127.0.0.1:{port}")
        async with AwsJsonClient(endpoint, "X", connect_timeout=1.0, response_timeout=1.0) as client:
            yield client


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the other side of a connection has no event
            await asyncio.sleep(0.01)


async def test_calls_one_after_the_other_share_a_connection(server: Server, api: AwsJsonClient) -> None:
    for _ in range(3):
        await api.call(*CALL)
    assert server.requests == [1, 1, 1]


async def test_there_are_as_many_connections_as_calls_at_once(server: Server, api: AwsJsonClient) -> None:
    for _ in range(2):
        await asyncio.gather(*(api.call(*CALL) for _ in range(5)))
    assert server.connections == 5


async def test_an_old_connection_is_not_used_again(
    server: Server, api: AwsJsonClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MAX_AGE_S", 0.0)
    await api.call(*CALL)
    await api.call(*CALL)
    assert server.requests == [1, 2]
    await until(lambda: server.open == 0)


async def test_an_idle_connection_is_closed_without_a_further_call(
    server: Server, api: AwsJsonClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.call(*CALL)
    monkeypatch.setattr(pool, "MAX_IDLE_S", 0.0)
    await until(lambda: server.open == 0)
    await until(lambda: not api._pool._open and api._pool._watching is None)


@pytest.mark.parametrize(
    "last", [response(b"{}", "Connection: close"), b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"]
)
async def test_a_connection_that_the_server_ends_is_not_used_again(
    server: Server, api: AwsJsonClient, last: bytes
) -> None:
    server.scripts[1] = [last] * 2
    await api.call(*CALL)
    await api.call(*CALL)
    assert server.requests == [1, 2]


async def test_a_connection_closed_while_idle_is_dropped(server: Server, api: AwsJsonClient) -> None:
    closing = asyncio.Event()

    async def close_later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(response())
        await closing.wait()

    async with tcp_server(close_later) as port:
        endpoint = endpoint_at(f"http://127.0.0.1:{port}")
        async with AwsJsonClient(endpoint, "X", connect_timeout=1.0, response_timeout=1.0) as client:
            await client.call(*CALL)
            assert len(client._pool._idle) == 1
            closing.set()
            await until(lambda: not client._pool._idle and not client._pool._open)


@pytest.mark.parametrize("kind", ["cancelled", "timed out"])
async def test_the_connection_of_an_abandoned_call_is_closed(kind: str) -> None:
    heard = asyncio.Event()
    closed = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        heard.set()
        await silence(reader, writer)
        closed.set()

    async with tcp_server(hang) as port:
        endpoint = endpoint_at(f"http://127.0.0.1:{port}")
        async with AwsJsonClient(endpoint, "X", connect_timeout=5.0, response_timeout=5.0) as client:
            loop = asyncio.get_running_loop()
            call = asyncio.create_task(client.call(*CALL, loop.time() + (0.3 if kind == "timed out" else 5)))
            await heard.wait()
            if kind == "cancelled":
                call.cancel()
            with suppress(asyncio.CancelledError, NoResponseError):
                await call
            async with asyncio.timeout(3):
                await closed.wait()
            await until(lambda: not client._pool._open)


async def test_a_connection_closed_under_a_request_is_replaced_once(server: Server, api: AwsJsonClient) -> None:
    server.scripts[1] = [response(), None]
    await api.call(*CALL)
    assert await api.call(*CALL) == {}
    assert server.requests == [1, 1, 2]


async def test_a_new_connection_that_is_closed_without_a_response_is_not_replaced(
    server: Server, api: AwsJsonClient
) -> None:
    server.scripts = {1: [response(), None], 2: [None], 3: [None]}
    await api.call(*CALL)
    with pytest.raises(NoResponseError):
        await api.call(*CALL)
    assert server.requests == [1, 1, 2]
    with pytest.raises(NoResponseError):
        await api.call(*CALL)
    assert server.requests == [1, 1, 2, 3]


@pytest.mark.parametrize("begun", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n", response(b"{}")[:-1]])
async def test_nothing_is_sent_again_after_a_byte_of_a_response(
    server: Server, api: AwsJsonClient, begun: bytes
) -> None:
    async def cut_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for sent in (response(), begun):
            await read_request(reader)
            server.requests.append(0)
            writer.write(sent)
        await writer.drain()
        writer.write_eof()
        await reader.read()

    async with tcp_server(cut_off) as port:
        endpoint = endpoint_at(f"http://127.0.0.1:{port}")
        async with AwsJsonClient(endpoint, "X", connect_timeout=1.0, response_timeout=1.0) as client:
            await client.call(*CALL)
            with pytest.raises(NoResponseError):
                await client.call(*CALL)
    assert len(server.requests) == 2


async def test_a_request_that_cannot_be_sent_again_may_have_been_carried_out(server: Server) -> None:
    listening = asyncio.Event()

    async def last(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(response())
        await read_request(reader)
        listening.set()

    serving = tcp_server(last)
    port = await serving.__aenter__()
    endpoint = endpoint_at(f"http://127.0.0.1:{port}")
    async with AwsJsonClient(endpoint, "X", connect_timeout=1.0, response_timeout=1.0) as client:
        await client.call(*CALL)
        call = asyncio.create_task(client.call(*CALL))
        await asyncio.sleep(0)
        await serving.__aexit__(None, None, None)  # closes the connection and the port
        with pytest.raises(NoResponseError):
            await call


class Echo:
    """Returns each request's own argument, sometimes late, in pieces, with more than that, or not at all."""

    def __init__(self, rng: random.Random) -> None:
        self.served: Counter[str] = Counter()
        self._rng = rng

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        rng = self._rng
        while True:
            _, body = await read_request(reader)
            kind = rng.choice(["plain", "plain", "pieces", "chunks", "close", "surplus", "drop", "late"])
            self.served[kind] += 1
            if kind == "drop":
                return
            if kind == "late":
                await asyncio.sleep(rng.uniform(0, 0.05))
            sent = response(body, *(["Connection: close"] if kind == "close" else []))
            if kind == "chunks":
                sent = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
            if kind == "surplus":
                sent += response(b'{"name": "nobody"}')
            size = rng.randint(1, 30) if kind == "pieces" else len(sent)
            for begin in range(0, len(sent), size):
                writer.write(sent[begin : begin + size])
                await writer.drain()
            if kind == "close":
                return


@pytest.mark.parametrize("seed", range(5))
async def test_calls_get_their_own_response_whatever_happens_to_others(seed: int) -> None:
    asyncio.get_running_loop().set_debug(False)  # debug mode takes most of the time
    rng = random.Random(seed)
    echo = Echo(rng)
    ended: Counter[str] = Counter()

    async def caller(client: AwsJsonClient, number: int) -> None:
        for turn in range(15):
            name = f"{number}-{turn}"
            call = asyncio.create_task(client.call("Echo", {"name": name, "fill": "x" * rng.randint(0, 3000)}))
            if rng.random() < 0.3:
                await asyncio.wait([call], timeout=rng.uniform(0, 0.02))
                call.cancel()
            try:
                assert (await call)["name"] == name
                ended["own"] += 1
            except (asyncio.CancelledError, NoResponseError) as error:
                ended[type(error).__name__] += 1

    async with tcp_server(echo) as port:
        endpoint = endpoint_at(f"http://127.0.0.1:{port}")
        async with (
            AwsJsonClient(endpoint, "X", connect_timeout=5.0, response_timeout=5.0) as client,
            asyncio.timeout(30),
        ):
            await asyncio.gather(*(caller(client, number) for number in range(20)))
            await until(lambda: len(client._pool._open) == len(client._pool._idle))
    assert ended["own"] > 100
    assert all(ended[kind] for kind in ("CancelledError", "NoResponseError")), json.dumps(ended)

"""HTTP connections that are slow, silent or too many, over raw sockets."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.support.ids import ID
from tests.support.raw_http import closed, head, listening
from tests.support.step_functions import described

HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n"], ids=["nothing", "half a head"])
async def test_a_connection_without_a_complete_head_is_dropped(sent: bytes) -> None:
    async with listening(head_timeout=0.3) as it:
        assert await closed(await it.connect(sent)) == b""
        await it.opened(0)
        assert it.connections.dropped == 1


async def test_a_head_sent_byte_by_byte_is_dropped_however_steady_it_is() -> None:
    async with listening(head_timeout=0.5) as it:
        reader = await it.connect(b"GET / HTTP/1.1\r\nX: ")
        ended = asyncio.create_task(closed(reader))
        while not ended.done():
            it.send(b"x")
            await asyncio.wait([ended], timeout=0.05)
        assert await ended == b""


async def test_the_timeout_of_the_next_head_starts_at_its_first_byte() -> None:
    async with listening(head_timeout=0.5) as it:
        reader = await it.connect(HEAD)
        assert (await head(reader))[0] == b"HTTP/1.1 200 OK"
        assert await reader.read(100)
        assert len(it.connections.idle) == 1
        it.send(b"GET /hea")
        assert await closed(reader) == b""


async def test_an_expired_idle_connection_does_not_count_as_dropped() -> None:
    async with listening(keep_alive=0.3) as it:
        reader = await it.connect(HEAD)
        assert (await head(reader))[0] == b"HTTP/1.1 200 OK"
        it.send(HEAD)
        rest = await closed(reader)
        assert rest.count(b"HTTP/1.1 200 OK") == 1
        await it.opened(0)
        assert it.connections.dropped == 0


async def test_a_busy_connection_has_no_timeout() -> None:
    async with listening(head_timeout=0.2) as it:
        body = b'{"nome": "a", "sobrenome": "b"}'
        post = b"POST /event HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        reader = await it.connect(post % (len(body), body))
        execution_id = await it.stage.started()
        silent = await it.connect()
        await closed(silent)  # by now the timeout for a head has passed
        it.stage.reply(execution_id, {})
        assert (await head(reader))[0] == b"HTTP/1.1 200 OK"


async def test_a_caller_that_does_not_read_is_dropped_and_its_memory_freed() -> None:
    async with listening(read_timeout=0.5) as it:
        it.stage.endpoint.script("DescribeExecution", described("SUCCEEDED", output=json.dumps("x" * 250_000)))
        await it.connect(
            f"GET /event/{ID} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 60
        )  # more than the socket buffers hold
        async with asyncio.timeout(20):
            while not it.connections.blocked:  # noqa: ASYNC110 - the table has no event to wait for
                await asyncio.sleep(0.01)
        await it.opened(0)
        assert it.connections.dropped == 1
        for table in (it.connections.blocked, it.connections.idle, it.connections.awaiting_head):
            assert not table


async def test_a_stream_that_is_not_read_is_dropped_and_its_slot_freed() -> None:
    async with listening(read_timeout=0.5) as it:
        it.stage.endpoint.script("DescribeExecution", described("RUNNING", input="{}"))
        request = f"GET /event/{ID} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
        await it.connect(request.encode())
        progress = json.dumps({"id": ID, "status": "RUNNING", "progress": "x" * 100_000})
        async with asyncio.timeout(20):
            while ID not in it.stage.replies:  # noqa: ASYNC110 - the table has no event to wait for
                await asyncio.sleep(0.01)
            while ID in it.stage.replies:
                it.stage.replies.deliver(progress)
                await asyncio.sleep(0.001)
        await it.opened(0)
        it.stage.assert_nothing_in_flight()


async def test_at_the_limit_the_connection_that_waited_longest_is_dropped() -> None:
    async with listening(limit=3) as it:
        first = await it.connect()
        await it.opened(1)
        for number in (2, 3):
            await it.connect()
            await it.opened(number)
        reader = await it.connect(HEAD)
        assert (await head(reader))[0] == b"HTTP/1.1 200 OK"
        assert await closed(first) == b""


async def test_at_the_limit_an_idle_connection_is_dropped_for_a_new_one() -> None:
    async with listening(limit=1) as it:
        idle = await it.connect(HEAD)
        await head(idle)
        reader = await it.connect(HEAD)
        assert (await head(reader))[0] == b"HTTP/1.1 200 OK"
        await closed(idle)


async def test_at_the_limit_a_connection_that_only_lingers_is_dropped_before_an_idle_one() -> None:
    async with listening(limit=2) as it:
        idle = await it.connect(HEAD)
        await head(idle)
        await closed(await it.connect(b"nonsense\r\n\r\n"))
        assert len(it.connections.lingering) == 1
        await head(await it.connect(HEAD))
        assert (len(it.connections.lingering), len(it.connections.idle)) == (0, 2)


async def test_a_lingering_connection_is_closed_after_a_while_and_does_not_count_as_dropped() -> None:
    async with listening(linger=0.3) as it:
        assert (await closed(await it.connect(b"nonsense\r\n\r\n"))).startswith(b"HTTP/1.0 400 Bad Request")
        await it.opened(0)
        assert it.connections.dropped == 0


async def test_a_lingering_connection_whose_caller_reads_nothing_is_dropped_however_little_is_left() -> None:
    async with listening(linger=0.1, read_timeout=0.3) as it:
        it.stage.endpoint.script("DescribeExecution", described("SUCCEEDED", output=json.dumps("x" * 250_000)))
        await it.connect()
        await it.opened(1)
        (connection,) = it.connections.awaiting_head
        connection._socket.set_write_buffer_limits(2**30)  # what is left of 15 MB stands for what is below the limit
        it.send(f"GET /event/{ID} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 60 + b"nonsense\r\n\r\n")
        await it.opened(0)
        assert it.connections.dropped == 1


async def test_a_new_connection_gets_a_503_if_all_others_are_busy() -> None:
    async with listening(limit=1) as it:
        it.stage.endpoint.script("DescribeExecution", described("RUNNING", input="{}"))
        busy = await it.connect(f"GET /event/{ID} HTTP/1.1\r\nHost: x\r\nPrefer: wait=9\r\n\r\n".encode())
        async with asyncio.timeout(10):
            while ID not in it.stage.replies:  # noqa: ASYNC110 - the table has no event to wait for
                await asyncio.sleep(0.01)
        reader = await it.connect()
        status, headers = await head(reader)
        assert status == b"HTTP/1.1 503 Service Unavailable"
        assert (headers[b"retry-after"], headers[b"connection"]) == (b"1", b"close")
        assert (headers[b"server"], headers[b"cache-control"]) == (b"sync-front", b"no-store")
        problem = json.loads(await closed(reader))
        assert (problem["type"].rpartition(":")[2], problem["status"]) == ("at-capacity", 503)
        it.stage.reply(ID, {})
        assert (await head(busy))[0] == b"HTTP/1.1 200 OK"


async def test_the_sweep_and_what_lingers_end_with_the_site() -> None:
    async with listening() as it:
        await closed(await it.connect(b"nonsense\r\n\r\n"))
        assert len(it.connections.lingering) == 1
        timer = it.connections._timer
        assert timer is not None
        assert not timer.cancelled()
    assert it.connections._timer is not None
    assert it.connections._timer.cancelled()
    assert not it.connections.lingering

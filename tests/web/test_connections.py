"""HTTP connections that are slow, silent or too many, over raw sockets."""

from __future__ import annotations

import asyncio
import json

import pytest
from structlog.testing import capture_logs

from tests.support.front import ID
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


POST = (
    b"POST /event HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 31\r\n\r\n"
    b'{"nome": "a", "sobrenome": "b"}'
)
BEHIND = {
    "nothing": b"",
    "half a request": b"GET /healthz HTTP/1.1\r\nHo",
    "requests": HEAD * 5000,
    "a large body": b"POST /event HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n" + b" " * 999_999,
    "a body in chunks": b"POST /event HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"1\r\n \r\n" * 99_999,
    "another protocol": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n" + b"x" * 999_999,
}


@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("behind", BEHIND)
async def test_a_caller_that_leaves_frees_its_slot_whatever_it_has_sent_behind_its_request(
    behind: str, how: str
) -> None:
    async with listening(pipeline_timeout=0.1) as it:
        await it.connect(POST)
        await it.stage.started()
        it.send(BEHIND[behind])
        it.end(how)
        await it.opened(0)
        await it.stage.bridge.drain(5)
        it.stage.assert_nothing_in_flight()
        assert not it.stage.admission.released_early


async def test_a_caller_that_leaves_frees_its_slot_if_the_body_of_its_own_request_is_not_read() -> None:
    async with listening(pipeline_timeout=0.1) as it:
        it.stage.endpoint.script("DescribeExecution", described("RUNNING", input="{}"))
        head = f"GET /event/{ID} HTTP/1.1\r\nHost: x\r\nPrefer: wait=20\r\nContent-Length: 9999999\r\n\r\n"
        await it.connect(head.encode() + b" " * 999_999)
        await it.stage.endpoint.arrived("DescribeExecution")
        it.end("FIN")
        await it.opened(0)
        await it.stage.bridge.drain(5)
        assert not it.stage.admission.released_early


async def test_too_many_requests_behind_one_in_progress_are_refused_after_those_before_them() -> None:
    async with listening(pipeline_timeout=0.1) as it:
        reader = await it.connect(POST)
        execution_id = await it.stage.started()
        it.send(HEAD * 5000)
        async with asyncio.timeout(20):
            while not it.connections.unread:  # noqa: ASYNC110 - the table has no event to wait for
                await asyncio.sleep(0.01)
            while it.connections.unread:  # noqa: ASYNC110 - the same
                await asyncio.sleep(0.01)
        it.stage.reply(execution_id, {})
        answers = await closed(reader)
        assert answers.count(b"HTTP/1.1 200 OK") > 30
        last = answers[answers.rindex(b"HTTP/1.") :]
        assert last.startswith(b"HTTP/1.0 429 Too Many Requests")
        assert b"\r\nServer: sync-front\r\n" in last
        assert json.loads(last.partition(b"\r\n\r\n")[2])["status"] == 429


async def test_many_requests_at_once_are_answered_if_none_of_them_waits() -> None:
    async with listening() as it:
        reader = await it.connect(HEAD * 500 + HEAD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert (await closed(reader)).count(b"HTTP/1.1 200 OK") == 501


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


@pytest.mark.parametrize(
    ("sent", "status", "kind"),
    [
        (b"Secret nonsense\r\n\r\n", b"400 Bad Request", "about:blank"),
        (b"GET / HTTP/1.1\r\nSecret\r\n\r\n", b"400 Bad Request", "about:blank"),
        (
            b"GET / HTTP/1.1\r\nX: " + b"Secret" * 2000 + b"\r\n\r\n",
            b"431 Request Header Fields Too Large",
            "about:blank",
        ),
        (
            b"POST /event HTTP/1.1\r\nHost: x\r\nContent-Encoding: zstd\r\nContent-Length: 6\r\n\r\nSecret",
            b"415 Unsupported Media Type",
            "urn:problem-type:sync-front:unsupported-encoding",
        ),
    ],
)
async def test_a_request_that_reaches_no_route_is_a_problem_whose_content_is_not_logged(
    sent: bytes, status: bytes, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening() as it:
        with capture_logs() as logs:
            reader = await it.connect(sent)
            line, headers = await head(reader)
            assert line.partition(b" ")[2] == status
            assert headers[b"content-type"] == b"application/problem+json"
            problem = json.loads(await closed(reader))
        assert (problem["type"], problem["status"]) == (kind, int(status[:3]))
        assert [entry["request_id"] for entry in logs] == [problem["request_id"]]
        assert "Secret" not in str(logs)
        assert "Secret" not in caplog.text


async def test_the_sweep_ends_with_the_site() -> None:
    async with listening() as it:
        await it.connect()
        await it.opened(1)
        timer = it.connections._timer
        assert timer is not None
        assert not timer.cancelled()
    assert it.connections._timer is not None
    assert it.connections._timer.cancelled()

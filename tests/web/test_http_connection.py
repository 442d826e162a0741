"""Single HTTP connections over raw sockets: what comes behind a request, what nobody reads, what is no request."""

from __future__ import annotations

import asyncio
import gzip
import json
import weakref

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from service.bridge.envelope import MAX_INPUT_BYTES
from service.web import http_connection
from service.web.http_connection import HttpConnection
from tests.support.ids import ID
from tests.support.raw_http import closed, head, listening
from tests.support.step_functions import described

HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
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
        await it.stage.bridges.drain(5)
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
        await it.stage.bridges.drain(5)
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


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
UNREAD = {
    "a body of another type": (b"POST /event HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", b"415"),
    "chunks of another type": (b"POST /event HTTP/1.1\r\nHost: x\r\n" + CHUNKED, b"415"),
    "a body without a route": (b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", b"404"),
    "a body of a GET": (b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + CHUNKED, b"200"),
    "an expectation": (b"POST /event HTTP/1.1\r\nHost: x\r\nExpect: a\r\n" + CHUNKED, b"417"),
    "no request": (b"nonsense\r\n\r\n", b"400"),
    "no URL": (b"POST http://xn--a/event HTTP/1.1\r\nHost: x\r\n" + CHUNKED, b"400"),
}


@pytest.mark.parametrize("kind", UNREAD)
async def test_a_caller_that_sends_on_gets_the_whole_response_and_then_ten_megabytes_of_patience(kind: str) -> None:
    sent, status = UNREAD[kind]
    async with listening() as it:
        reader = await it.connect(sent + b"1\r\n \r\n" * 10_000)
        response = await closed(reader)  # to the FIN, though the caller has not ended
        assert response.split()[1] == status
        assert response.startswith(b"HTTP/1.0") or b"\r\nConnection: close\r\n" in response
        assert len(response.partition(b"\r\n\r\n")[2]) == int(response.partition(b"Content-Length: ")[2].split()[0])
        it.send(b" " * (2 * http_connection.MAX_DISCARDED_BYTES))
        await it.opened(0)
        assert it.connections.dropped == 1


@pytest.mark.parametrize("kind", UNREAD)
async def test_the_connection_ends_when_a_caller_that_sent_on_closes_it(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening() as it:
        await closed(await it.connect(UNREAD[kind][0] + b" " * 100_000))
        assert (it.connections.open, len(it.connections.lingering)) == (1, 1)
        it.end("FIN")
        await it.opened(0)
        assert it.connections.dropped == 0
    assert "Unhandled" not in caplog.text  # aiohttp's own log of an error between two requests


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "x"])
async def test_a_request_for_another_protocol_is_answered_as_the_last_one(protocol: str) -> None:
    async with listening() as it:
        upgrade = f"Connection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n".encode()
        response = await closed(await it.connect(HEAD.removesuffix(b"\r\n") + upgrade + HEAD * 2))
        assert response.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nConnection: close\r\n" in response
        assert response.count(b"HTTP/1.1") == 1


async def test_a_connection_whose_requests_arrived_completely_stays_open() -> None:
    body = gzip.compress(b"x" * 1000)
    post = b"POST /event HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
    async with listening() as it:
        reader = await it.connect(post % (len(body), body))
        status, headers = await head(reader)
        assert status == b"HTTP/1.1 415 Unsupported Media Type"
        assert b"connection" not in headers
        await reader.readexactly(int(headers[b"content-length"]))
        it.send(HEAD)
        assert (await head(reader))[0] == b"HTTP/1.1 200 OK"


async def test_a_response_is_not_kept_while_the_next_request_on_its_connection_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[weakref.ref[web.StreamResponse]] = []
    finish_response = HttpConnection.finish_response

    async def noted(
        self: HttpConnection, request: web.BaseRequest, response: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        sent.append(weakref.ref(response))
        return await finish_response(self, request, response, start_time)

    monkeypatch.setattr(HttpConnection, "finish_response", noted)
    async with listening() as it:
        reader = await it.connect(HEAD)
        _, headers = await head(reader)
        await reader.readexactly(int(headers[b"content-length"]))
        it.send(POST)
        await it.stage.started()
        assert [response() for response in sent] == [None]


@pytest.mark.parametrize(("size", "status"), [(1, b"413"), (2, b"413"), (16, b"400")])
async def test_a_body_in_tiny_chunks_is_too_large_when_its_chunks_are(size: int, status: bytes) -> None:
    chunks = (b"%x\r\n%b\r\n" % (size, b"x" * size)) * (MAX_INPUT_BYTES // size - 10)
    async with listening() as it:
        post = b"POST /event HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + CHUNKED
        response = await closed(await it.connect(post + chunks + b"0\r\n\r\nGET / HTTP/1.0\r\n\r\n"))
        assert response.split()[1] == status


@pytest.mark.parametrize("later", [b"1\r\n ?", b"?\r\n", b"1\r\n \r\n0\r\n?\r\n\r\n"], ids=["end", "size", "trailer"])
async def test_chunks_that_turn_out_malformed_later_are_refused_at_once(later: bytes) -> None:
    async with listening() as it:
        head_ = b"POST /event HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: application/json\r\n"
        reader = await it.connect(head_ + CHUNKED)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        it.send(later)
        async with asyncio.timeout(5):
            assert (await closed(reader)).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"Secret nonsense\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\nSecret\r\n\r\n", b"400 Bad Request"),
        (b"GET http://xn--a/Secret HTTP/1.1\r\nHost: x\r\n\r\n", b"400 Bad Request"),
        (b"GET http://Secret@xn--a:1/ HTTP/1.1\r\nHost: x\r\n\r\n", b"400 Bad Request"),
        (b"GET http://[::Secret HTTP/1.1\r\nHost: x\r\n\r\n", b"400 Bad Request"),
        (
            b"POST /event HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"Secret: b\r\n" * 40_000,
            b"431 Request Header Fields Too Large",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\n" + b"Secret: b\r\n" * 129 + b"\r\n",
            b"431 Request Header Fields Too Large",
        ),
        (
            b"GET / HTTP/1.1\r\nX: " + b"Secret" * 2000 + b"\r\n\r\n",
            b"431 Request Header Fields Too Large",
        ),
    ],
)
async def test_a_request_that_reaches_no_route_is_a_problem_whose_content_is_not_logged(
    sent: bytes, status: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening() as it:
        with capture_logs() as logs:
            reader = await it.connect(sent)
            line, headers = await head(reader)
            assert line.partition(b" ")[2] == status
            assert headers[b"content-type"] == b"application/problem+json"
            problem = json.loads(await closed(reader))
        assert (problem["type"], problem["status"]) == ("about:blank", int(status[:3]))
        assert [entry["request_id"] for entry in logs] == [problem["request_id"]]
        assert "Secret" not in str(logs)
        assert "Secret" not in caplog.text

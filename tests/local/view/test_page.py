from __future__ import annotations

import asyncio
import json
import re
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from service.local import LocalAws
from service.local.view import feed
from tests.local.conftest import DEADLINE, Aws, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ASSET = re.compile(r"""(?:src|href)="([^"]*)"|url\(([^)]*)\)|(?:import|from) ["']([^"']*)""")


class Viewer:
    """Reads a feed; `entries` are all entries so far."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.entries: list[dict[str, Any]] = []

    async def message(self) -> dict[str, Any]:
        async with asyncio.timeout(DEADLINE):
            while True:
                line = await self.response.content.readline()
                assert line, "the feed ended"
                if line.startswith(b"data: "):
                    message: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
                    self.entries += message["entries"]
                    return message

    async def until(self, condition: Callable[[], Any]) -> dict[str, Any]:
        """Read until the condition holds and return the last message."""
        message = await self.message()
        while not condition():
            message = await self.message()
        return message

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [entry for entry in self.entries if entry["kind"] == kind]


@asynccontextmanager
async def watching(session: aiohttp.ClientSession, url: str) -> AsyncIterator[Viewer]:
    # A message is one line and may be long.
    async with session.get(f"{url}/_local/feed", read_bufsize=2**22) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        yield Viewer(response)


@asynccontextmanager
async def front(aws: Aws) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Run a service with the view attached; its responses wait for the event."""
    go = asyncio.Event()

    async def handle(_: web.Request) -> web.Response:
        await go.wait()
        return web.Response(status=418)

    application = web.Application()
    application.router.add_post("/event", handle)
    application.router.add_get("/healthz", handle)
    aws.local.view.attach(application)
    async with TestServer(application) as server:
        await server.start_server(handler_cancellation=True)
        yield str(server.make_url("")).rstrip("/"), go


@pytest.mark.parametrize(
    ("name", "kind"), [("", "text/html"), ("view.css", "text/css"), ("view.js", "text/javascript")]
)
async def test_the_page_has_a_policy_that_allows_nothing_from_elsewhere(aws: Aws, name: str, kind: str) -> None:
    async with aws.session.get(f"{aws.local.url}/_local/{name}") as response:
        text = await response.text()
        assert (response.status, response.content_type, response.charset) == (200, kind, "utf-8")
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "require-trusted-types-for 'script'" in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    for match in ASSET.finditer(text):
        assert (match[1] or match[2] or match[3]) in {"view.css", "view.js", "data:,"}
    assert not re.search(r"https?:|\son\w+=|innerHTML|style=", text)


async def test_the_path_without_its_slash_redirects_to_the_page(aws: Aws) -> None:
    async with aws.session.get(f"{aws.local.url}/_local") as response:
        assert (response.status, urlsplit(str(response.url)).path) == (200, "/_local/")


async def test_the_feed_has_an_execution_with_its_states_and_its_end_in_order(aws: Aws) -> None:
    async with watching(aws.session, aws.local.url) as viewer:
        assert (await viewer.message())["entries"] == []
        await aws.start("exec-1", {"id": "exec-1", "event": "{", "reply": {"channel": "AsyncEvents/x/exec-1"}})
        await viewer.until(lambda: any(entry["ended"] for entry in viewer.of("execution")))
    end = viewer.of("execution")[-1]
    assert (end["status"], end["error"]) == ("FAILED", "States.QueryEvaluationError")
    assert next(entry["kind"] for entry in viewer.entries if entry["kind"] != "frame") == "execution"
    states = [entry["state"] for entry in viewer.of("state")]
    assert states == ["Wait", "ConvertJson"]
    assert {entry["execution"] for entry in viewer.of("state")} == {"exec-1"}
    moments = [entry["at"] for entry in viewer.entries]
    assert moments == sorted(moments)


async def test_the_feed_has_every_frame_without_credentials(aws: Aws) -> None:
    async with watching(aws.session, aws.local.url) as viewer:
        client = await aws.connect()
        await client.request(type="connection_init")
        await client.subscribe("s", "/AsyncEvents/x/*")
        await aws.publish("AsyncEvents/x/y", ['{"a":1}'])
        assert (await client.receive())["event"] == '{"a":1}'
        await client.raw.close(code=4000)
        message = await viewer.until(lambda: any(entry["direction"] == "closed" for entry in viewer.of("frame")))
    frames = [(entry["connection"], entry["direction"], entry["text"]) for entry in viewer.of("frame")]
    assert frames[0] == (1, "opened", "")
    assert [text.partition(",")[0] for _, direction, text in frames if direction == "received"] == [
        '{"type":"connection_init"}',
        '{"type":"subscribe"',
    ]
    assert '{"type":"data","id":"s","event":"{\\"a\\":1}"}' in [text for _, _, text in frames]
    assert frames[-1] == (1, "closed", "4000")
    assert aws.local.api_key not in json.dumps(viewer.entries)
    assert message["counts"]["connections"] == 0


async def test_a_late_viewer_gets_the_entries_that_are_kept(aws: Aws) -> None:
    await aws.start("early")
    await until(lambda: aws.local.executions["early"].status != "RUNNING")
    async with watching(aws.session, aws.local.url) as viewer:
        message = await viewer.message()
    assert (message["missed"], message["counts"]["executions"]) == (0, 0)
    assert [entry["status"] for entry in viewer.of("execution")] == ["RUNNING", "FAILED"]


async def test_requests_to_the_service_are_shown_from_arrival_to_response(aws: Aws) -> None:
    async with front(aws) as (url, go), watching(aws.session, url) as viewer:
        request = asyncio.create_task(aws.session.post(f"{url}/event"))
        message = await viewer.until(lambda: viewer.of("request"))
        assert message["counts"]["requests"] == 1
        assert "ended" not in viewer.of("request")[0]
        go.set()
        (await request).release()
        message = await viewer.until(lambda: len(viewer.of("request")) == 2)
        assert message["counts"]["requests"] == 0
    start, end = viewer.of("request")
    assert (end["method"], end["path"], end["status"]) == ("POST", "/event", 418)
    assert (end["number"], end["started"]) == (start["number"], start["started"])


async def test_the_request_of_a_caller_that_left_is_not_in_flight(aws: Aws) -> None:
    async with front(aws) as (url, _), watching(aws.session, url) as viewer:
        caller = asyncio.create_task(aws.session.post(f"{url}/event"))
        await viewer.until(lambda: viewer.of("request"))
        caller.cancel()
        message = await viewer.until(lambda: len(viewer.of("request")) == 2)
        assert message["counts"]["requests"] == 0
        assert viewer.of("request")[1]["status"] is None


async def test_probes_and_the_page_itself_are_not_shown(aws: Aws) -> None:
    async with front(aws) as (url, go), watching(aws.session, url) as viewer:
        go.set()
        for path in ("/healthz", "/_local/", "/none"):
            (await aws.session.get(url + path)).release()
        await viewer.until(lambda: any("ended" in entry for entry in viewer.of("request")))
        assert {entry["path"] for entry in viewer.of("request")} == {"/none"}


async def test_requests_are_not_counted_without_the_service(aws: Aws) -> None:
    async with watching(aws.session, aws.local.url) as viewer:
        assert (await viewer.message())["counts"]["requests"] is None


async def test_viewers_that_leave_leave_no_tasks(aws: Aws) -> None:
    async with front(aws) as (url, _):
        quiet = len(asyncio.all_tasks())
        for url_ in (aws.local.url, url):
            for _ in range(3):
                async with watching(aws.session, url_) as viewer:
                    await viewer.message()
                    viewer.response.close()
        await until(lambda: aws.local.view.feed.viewers == 0)
        await until(lambda: len(asyncio.all_tasks()) <= quiet)


async def test_a_viewer_that_never_reads_is_disconnected_and_others_miss_nothing(aws: Aws) -> None:
    view = aws.local.view
    view.feed.write_timeout_s = 0.5
    address = urlsplit(aws.local.url)
    async with watching(aws.session, aws.local.url) as viewer:
        with socket.socket() as unread:
            unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            unread.connect((address.hostname, address.port))
            unread.sendall(b"GET /_local/feed HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda: view.feed.viewers == 2)
            sent = 0
            async with asyncio.timeout(DEADLINE):
                while view.feed.viewers == 2:
                    for _ in range(500):
                        sent += 1
                        view.journal.sent(sent, "x" * 1000)
                    while len(viewer.entries) < sent:
                        assert (await viewer.message())["missed"] == 0
        assert view.feed.viewers == 1
        assert [entry["connection"] for entry in viewer.entries] == list(range(1, sent + 1))


async def test_a_viewer_that_falls_behind_gets_the_number_of_missed_entries(aws: Aws) -> None:
    journal = aws.local.view.journal
    async with watching(aws.session, aws.local.url) as viewer:
        await viewer.message()
        for number in range(2005):
            journal.sent(number, "")
        message = await viewer.message()
    assert (message["missed"], len(message["entries"])) == (5, 2000)
    assert message["entries"][0]["connection"] == 5


async def test_one_viewer_too_many_gets_a_503(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MAX_VIEWERS", 1)
    async with watching(aws.session, aws.local.url) as viewer:
        await viewer.message()
        async with aws.session.get(f"{aws.local.url}/_local/feed") as second:
            assert second.status == 503
    await until(lambda: not aws.local.view.feed.viewers)
    async with watching(aws.session, aws.local.url) as next_viewer:
        await next_viewer.message()


async def test_a_stop_does_not_wait_for_viewers() -> None:
    async with aiohttp.ClientSession() as session, LocalAws(port=0) as aws, watching(session, aws.url) as viewer:
        await viewer.message()
        async with asyncio.timeout(DEADLINE):
            await aws.stop()
        assert aws.view.feed.viewers == 0
        await until(viewer.response.content.is_eof)


async def test_the_feed_works_after_a_restart() -> None:
    local = LocalAws(port=0)
    for _ in range(2):
        async with aiohttp.ClientSession() as session, local, watching(session, local.url) as viewer:
            await viewer.message()
            local.view.journal.opened(7)
            await viewer.until(lambda: viewer.entries and viewer.entries[-1]["connection"] == 7)

"""The commands with an output that cannot be written or is not read."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import FileIO
from typing import Any

import aiohttp
import pytest

from service.local import LocalAws
from tests.support.metrics import scrape
from tests.support.outputs import BROKEN, broken, full_pipe
from tests.support.processes import Process, command, free_port, running, settings_for

RICARDO = {"nome": "Ricardo", "sobrenome": "Marques"}
LOCAL = {"HOST": "127.0.0.1", "LOCAL_AWS_PORT": "0", "LOG_FORMAT": "json", "DRAIN_DELAY": "0"}
HELD_S = 1.0
"""How long the workflow takes, so that requests are in flight during the stop."""
ROUNDS = 50
FLOOD, LIMIT = 50, 3


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as client:
        yield client


@asynccontextmanager
async def ready(
    http: aiohttp.ClientSession, *arguments: str, env: dict[str, str], stdout: int | None, stderr: int | None
) -> AsyncIterator[tuple[Process, str]]:
    """Run a command whose log need not be readable; yield its process and its URL once it is ready."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = env | {"PORT": str(port)}
    async with command("service", *arguments, env=env, stdout=stdout, stderr=stderr) as process:
        async with asyncio.timeout(30):
            while not await is_ready(http, url):  # noqa: ASYNC110 - its log, which would say so, may not be readable
                await asyncio.sleep(0.05)
        yield process, url


async def is_ready(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(f"{url}/readyz") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def post(http: aiohttp.ClientSession, url: str, **headers: str) -> int:
    async with http.post(f"{url}/event", json=RICARDO, headers=headers) as response:
        await response.read()
        return response.status


async def assert_serves(http: aiohttp.ClientSession, url: str) -> None:
    """Check every kind of response: 200, 202, 400, 404 and 415, and that they leave it ready."""
    headers = {"Content-Type": "application/json"}
    assert await post(http, url) == 200
    assert await post(http, url, Prefer="respond-async") == 202
    for _ in range(ROUNDS):
        for data, given, expected in ((b"{", headers, 400), (b"{}", {"Content-Type": "text/plain"}, 415)):
            async with http.post(f"{url}/event", data=data, headers=given) as response:
                assert response.status == expected
        async with http.get(f"{url}/nowhere") as response:
            assert response.status == 404
    assert await is_ready(http, url)


async def assert_drains(http: aiohttp.ClientSession, process: Process, url: str) -> None:
    """Check that a request in flight gets its result during the stop, and that the exit status says so."""
    held = asyncio.create_task(post(http, url))
    async with asyncio.timeout(20):
        while (await scrape(http, url))("requests_in_flight") < 1:
            pass
    process.send(signal.SIGTERM)
    assert await held == 200
    assert await process.wait() == 0


@pytest.mark.parametrize("kind", [*BROKEN, "left"])
async def test_serve_responds_and_drains_whatever_its_log_leads_to(http: aiohttp.ClientSession, kind: str) -> None:
    with broken(kind) as log:
        async with (
            LocalAws(port=0, wait=HELD_S) as aws,
            ready(http, "serve", env=settings_for(aws), stdout=asyncio.subprocess.PIPE, stderr=log) as (process, url),
        ):
            await assert_serves(http, url)
            lost = (await scrape(http, url))("output_lines_lost_total", "stderr")
            assert lost > 0 or kind == "unread"  # the lines that wait for a reader are not lost yet
            await assert_drains(http, process, url)


@pytest.mark.parametrize("kind", BROKEN)
async def test_local_starts_and_serves_without_its_banner_and_its_log(http: aiohttp.ClientSession, kind: str) -> None:
    with broken(kind) as banner, broken(kind) as log:
        arguments = ("local", "--wait", str(HELD_S))
        async with ready(http, *arguments, env=LOCAL, stdout=banner, stderr=log) as (process, url):
            assert await post(http, url) == 200
            await assert_drains(http, process, url)


@pytest.mark.parametrize("kind", ["gone", "unread"])
async def test_a_released_request_still_is_exit_status_three(http: aiohttp.ClientSession, kind: str) -> None:
    with broken(kind) as log:
        async with (
            LocalAws(port=0, wait=60) as aws,
            ready(http, "serve", env=settings_for(aws), stdout=log, stderr=log) as (process, url),
        ):
            key = {"Idempotency-Key": '"order 17"'}
            held = asyncio.create_task(post(http, url, **key))
            async with asyncio.timeout(20):
                while (await scrape(http, url))("requests_in_flight") < 1:
                    pass
            # With the same key, this request shares the start of the first one and gets its response once that is done.
            assert await post(http, url, **key, Prefer="respond-async") == 202
            process.send(signal.SIGINT)
            assert await held == 202
            assert await process.wait() == 3


@pytest.mark.parametrize(
    ("argument", "status", "kind"),
    [*(("serve", 2, kind) for kind in BROKEN), ("dance", 2, "gone"), ("--help", 0, "gone")],
)
async def test_a_message_that_cannot_be_written_leaves_the_exit_status(argument: str, status: int, kind: str) -> None:
    with broken(kind) as out:
        async with command("service", argument, stdout=out, stderr=out) as process:
            assert await process.wait() == status


async def test_a_reader_of_the_log_that_stalls_and_reads_on_gets_every_line(http: aiohttp.ClientSession) -> None:
    with full_pipe() as (reader, writer):
        async with (
            LocalAws(port=0, wait=HELD_S) as aws,
            ready(http, "serve", env=settings_for(aws), stdout=None, stderr=writer) as (process, url),
        ):
            await assert_serves(http, url)
            read = asyncio.create_task(asyncio.to_thread(read_lines, reader, "stopped"))
            await assert_drains(http, process, url)
            events = [line["event"] for line in await read]
    assert "started" in events
    assert events.count("request") == 3 * ROUNDS + 3  # two results before the stop and one during it


def read_lines(reader: FileIO, last: str) -> list[dict[str, Any]]:
    """Read log lines up to the event `last`."""
    found: list[dict[str, Any]] = []
    file = io.BufferedReader(reader)
    while not found or found[-1]["event"] != last:
        if line := file.readline().strip():
            found.append(json.loads(line))
    file.detach()
    return found


async def test_metrics_that_cannot_be_written_are_told_in_the_log(http: aiohttp.ClientSession) -> None:
    with broken("gone") as metrics:
        async with LocalAws(port=0, wait=HELD_S) as aws:
            env = settings_for(aws) | {"EMF_INTERVAL": "0.1"}
            async with ready(http, "serve", env=env, stdout=metrics, stderr=asyncio.subprocess.PIPE) as (process, url):
                line = await process.logged("output_failed")
                assert (line["output"], line["reason"]) == ("stdout", "Broken pipe")
                await assert_drains(http, process, url)
        assert [line["output"] for line in process.logs if line["event"] == "output_failed"] == ["stdout"]


STRANGERS = {
    "tls": b"\x16\x03\x01\x02\x00\x01\x00",
    "no_http": b"xyz\r\n\r\n",
    "no_header": b"GET / HTTP/1.1\r\nSecret\r\n\r\n",
    "long_header": b"GET / HTTP/1.1\r\nX: " + b"y" * 9000 + b"\r\n\r\n",
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "chunks": b"POST /event HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "encoding": b"POST /event HTTP/1.1\r\nHost: x\r\nContent-Encoding: zstd\r\nContent-Length: 1\r\n\r\nx",
    "expectation": b"GET / HTTP/1.1\r\nHost: x\r\nExpect: y\r\n\r\n",
    "path": b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "no_method": b"BREW /event HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "other_method": b"PUT /event HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "large": b"POST /event HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 300000\r\n\r\n"
    + b"x" * 300_000,
}
"""Requests that anybody can send, and that leave a line in the log."""


LOW_LIMIT = """
import sys
from functools import partial
from service.__main__ import main
from service.telemetry import logs
from service.telemetry.sampling import Sampler
from service.web import middleware
logs.Sampler = middleware.Sampler = partial(Sampler, limit=LIMIT)
sys.argv = ["service", "serve"]
sys.exit(main())
"""


async def test_requests_of_strangers_cannot_flood_the_log() -> None:
    async with (
        LocalAws(port=0) as aws,
        running("-c", LOW_LIMIT.replace("LIMIT", str(LIMIT)), env=settings_for(aws)) as process,
    ):
        port = (await process.logged("started"))["port"]
        await process.logged("link_subscription_confirmed")
        began, before = time.monotonic(), len(process.logs)
        for name, sent in STRANGERS.items():
            statuses = [await send(port, sent) for _ in range(FLOOD)]
            assert set(statuses) == {b"4"}, name
        seconds = time.monotonic() - began
        process.send(signal.SIGTERM)
        assert await process.wait() == 0
    logs = process.logs[before:]
    lines = Counter((line["event"], line["status"]) for line in logs if line["event"] in {"bad_request", "request"})
    suppressed = sum(line["count"] for line in logs if line["event"].endswith("_suppressed"))
    assert sum(lines.values()) + suppressed == FLOOD * len(STRANGERS)
    assert max(lines.values()) <= LIMIT * (seconds + 2)
    assert len(process.logs) < FLOOD * len(STRANGERS) / 2


async def send(port: int, sent: bytes) -> bytes:
    """Send these bytes on a connection of their own; return the first digit of the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    async with asyncio.timeout(20):
        head = await reader.readexactly(10)
    writer.transport.abort()
    return head[9:]

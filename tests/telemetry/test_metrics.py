"""Every metric changes with what it counts, in the whole service with the local AWS."""

from __future__ import annotations

import asyncio
import json
import platform
import re
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from yarl import URL

from service import __version__
from service.local import LocalAws
from service.telemetry import metrics as metrics_module
from service.telemetry import protobuf
from service.telemetry.metrics import MAX_ERROR_NAMES, Metrics
from tests.support.front import front
from tests.support.metrics import NAMES, Scrape, post, scrape
from tests.support.processes import local, service


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=50)) as client:
        yield client


async def test_requests_are_counted_by_outcome_and_timed(http: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, wait=0.3) as aws, service(aws) as (_, url):
        assert await post(http, url) == 200
        assert await post(http, url, Prefer="respond-async") == 202
        async with http.post(f"{url}/event", data="{") as response:
            assert response.status == 415
        async with http.get(f"{url}/event/exec-x") as response:
            assert response.status == 404
        now = await scrape(http, url)
        assert now("requests_total", "start", "succeeded") == 1
        assert now("requests_total", "start", "running") == 1
        assert now("requests_total", "start", "not-json") == 1
        assert now("requests_total", "read", "unknown-execution") == 1
        assert now("request_duration_seconds_count") == 2
        assert now("request_duration_seconds_sum") >= 0.3
        assert now("start_execution_duration_seconds_count") == 2
        assert now("workflow_duration_seconds_count") == 1
        assert now("workflow_duration_seconds_sum") >= 0.2
        assert now("bridge_overhead_seconds_count") == 1
        assert now("bridge_overhead_seconds_sum") < now("request_duration_seconds_sum")
        assert now("requests_in_flight_limit") == 10_000
        assert now("link_up") == 1
        assert now("replies_total", "result") == 1
        assert now("link_frames_total") >= 4


async def test_series_exist_before_their_first_event(http: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, wait=0) as aws, service(aws) as (_, url):
        samples = (await scrape(http, url)).samples
    for outcome in ("succeeded", "at-capacity", "link-down", "unexpected", "workflow-failed", "client-disconnected"):
        assert samples["sync_front_requests_total", *sorted(["start", outcome])] == 0
    assert samples["sync_front_requests_total", "stop", "stopped"] == 0
    assert samples["sync_front_throttled_calls_total", "StartExecution"] == 0
    assert samples["sync_front_workflow_errors_total", "other"] == 0
    assert samples["sync_front_build_info", *sorted([__version__, platform.python_version()])] == 1
    assert samples["sync_front_request_duration_seconds_bucket", "1.1"] == 0


async def test_prometheus_gets_protobuf_if_it_prefers_that() -> None:
    headers = {"Accept": protobuf.CONTENT_TYPE}
    async with front() as it, it.client.get("/metrics", headers=headers) as response:
        assert response.headers["Content-Type"] == protobuf.CONTENT_TYPE
        assert b"\x0a\x19sync_front_requests_total" in await response.read()


async def test_a_blocked_event_loop_shows_as_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_module, "LAG_INTERVAL_S", 0.01)
    metrics = Metrics()
    watching = asyncio.create_task(metrics.watch_loop())
    await asyncio.sleep(0)
    time.sleep(0.1)  # noqa: ASYNC251 - blocks the loop, as a fault would
    while not metrics.recent_lags:  # noqa: ASYNC110 - a list has no event to wait for
        await asyncio.sleep(0)
    watching.cancel()
    assert max(metrics.recent_lags) >= 0.05


def test_the_part_of_a_workflow_before_a_request_joined_it_is_not_overhead() -> None:
    metrics = Metrics()
    metrics.responded("event", 3.0, 0.5, 10.0, 2.25)
    assert metrics.recent_overheads[0] == 0.25


def test_a_duration_counts_in_the_first_bucket_that_it_fits_and_in_all_wider_ones() -> None:
    metrics = Metrics()
    for seconds in (0.04, 0.05, 0.06, 61.0):
        metrics.responded("event", seconds, None, None, 0.0)
    now = Scrape(generate_latest(metrics.registry).decode())
    buckets = {bound: now("request_duration_seconds_bucket", bound) for bound in ("0.05", "0.1", "60.0", "+Inf")}
    assert buckets == {"0.05": 2, "0.1": 3, "60.0": 3, "+Inf": 4}
    assert now("request_duration_seconds_count") == 4
    assert now("request_duration_seconds_sum") == pytest.approx(61.15)


async def test_names_and_units_follow_the_prometheus_conventions(http: aiohttp.ClientSession) -> None:
    """The rules of `promtool check metrics`: a prefix, base units, _total for counters only, help for all."""
    async with LocalAws(port=0, wait=0) as aws, service(aws) as (_, url):
        await post(http, url)
        text = (await scrape(http, url)).text
    for family in text_string_to_metric_families(text):
        assert re.fullmatch(r"(sync_front|process)(_[a-z]+)+", family.name), family.name
        assert family.documentation.endswith("."), family.name
        assert family.type in {"counter", "gauge", "histogram"}, family.name
        assert family.name == "sync_front_build_info" or not family.name.endswith("_info")
        assert not re.search(r"_(total|count|sum|bucket|milliseconds|ms|minutes|kb|mb)$", family.name), family.name
        names = {sample.name for sample in family.samples}
        if family.type == "counter":
            assert names <= {f"{family.name}_total", f"{family.name}_created"}
        if family.type == "histogram":
            assert family.name.endswith("_seconds")


async def test_a_stream_that_its_caller_closes_at_the_end_counts_as_succeeded(http: aiohttp.ClientSession) -> None:
    body = json.dumps(NAMES).encode()
    head = b"POST /event HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\n"
    async with local("--wait", "0") as (_, url):
        for _ in range(40):
            reader, writer = await asyncio.open_connection("127.0.0.1", URL(url).port)
            writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            async with asyncio.timeout(20):
                await reader.readuntil(b"\r\n0\r\n\r\n")
            writer.close()
            await writer.wait_closed()
        metrics = await scrape(http, url)
    assert metrics("requests_total", "start", "succeeded") == 40


def test_the_names_of_workflow_errors_are_counted_apart_up_to_a_limit() -> None:
    metrics = Metrics()
    for error in (*(f"E{number}" for number in range(MAX_ERROR_NAMES - 1)), "", "E60", "E61", "E0", ""):
        metrics.workflow_failed("event", error)
    now = Scrape(generate_latest(metrics.registry).decode())
    counted = {name: now("workflow_errors_total", name) for name in ("E0", "E1", "unnamed", "other", "E60", "E61")}
    assert counted == {"E0": 2, "E1": 1, "unnamed": 2, "other": 2, "E60": 0, "E61": 0}

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest
from yarl import URL

from service.app.fd_limits import MAX_SPARE_CONNECTIONS
from service.local import LocalAws
from tests.support.ids import ID
from tests.support.metrics import post, scrape
from tests.support.processes import service
from tests.support.step_functions import ScriptedStepFunctions, error


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=50)) as client:
        yield client


async def test_requests_in_flight_show_until_they_end(http: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, wait=1) as aws, service(aws) as (_, url):
        posts = [asyncio.create_task(post(http, url)) for _ in range(3)]
        while (now := await scrape(http, url))("requests_in_flight") < 3:
            pass
        assert now("pending_executions") == 3
        assert now("connections") == 4  # and the one of this scrape
        assert await asyncio.gather(*posts) == [200] * 3
        later = await scrape(http, url)
        assert later("requests_in_flight") == 0
        assert now("event_loop_tasks") >= later("event_loop_tasks") + 3


async def test_connections_over_the_limit_show(http: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, wait=0) as aws, service(aws, MAX_IN_FLIGHT="1") as (_, url), AsyncExitStack() as stack:
        before = await scrape(http, url)
        assert before("connections_dropped_total") == 0
        for _ in range(1 + MAX_SPARE_CONNECTIONS):
            _, writer = await asyncio.open_connection("127.0.0.1", URL(url).port)
            stack.callback(writer.close)
        async with asyncio.timeout(20):
            while not (now := await scrape(http, url))("connections_dropped_total"):
                pass
        assert now("connections") <= 1 + MAX_SPARE_CONNECTIONS


async def test_the_link_and_recovery_show_in_the_metrics(http: aiohttp.ClientSession) -> None:
    async with (
        LocalAws(port=0, wait=0) as aws,
        service(aws, RESPONSE_TIMEOUT="2", DESCRIBE_QUOTA="300/1") as (process, url),
    ):
        aws.faults.mute.on()
        assert await post(http, url) == 200
        aws.faults.mute.off()
        before = await scrape(http, url)
        assert before("recovered_total") == 1
        assert 298 <= before("recovery_tokens", "DescribeExecution") < 300
        assert before("recovery_tokens", "ListExecutions") == 200
        await aws.drop_connections(1001)
        await process.logged("link_down")
        async with asyncio.timeout(20):
            while not (now := await scrape(http, url))("link_reconnects_total"):
                pass
            while not now("link_up"):
                now = await scrape(http, url)
        assert now("link_down_seconds") == 0
        assert 0 < now("link_disconnected_seconds_total") < 20
        assert now("link_events_total", "down") == 1
        assert now("link_events_total", "up") == 2
        assert now("link_events_total", "renewed") == now("link_events_total", "renewal_failed") == 0
        assert 0 <= now("link_frame_age_seconds") < 20


async def test_the_frame_age_grows_and_is_absent_without_a_connection(http: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, wait=0) as aws, service(aws) as (process, url):
        age = (await scrape(http, url))("link_frame_age_seconds")
        assert (await scrape(http, url))("link_frame_age_seconds") > age
        await aws.stop()
        await process.logged("link_connect_failed")
        now = await scrape(http, url)
        assert ("sync_front_link_frame_age_seconds",) not in now.samples
        assert now("link_up") == 0
        assert now("link_down_seconds") > 0


async def test_replies_are_counted_by_kind(http: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, wait=0) as aws, service(aws) as (_, url):
        aws.faults.duplicate.on()
        aws.faults.junk.on()
        assert await post(http, url) == 200
        async with asyncio.timeout(20):
            while (now := await scrape(http, url))("replies_total", "duplicate") < 1:
                pass
        assert now("replies_total", "result") == 1
        assert now("replies_total", "malformed") >= 1


async def test_throttled_calls_are_counted_by_action(http: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, wait=0) as aws, ScriptedStepFunctions() as throttled:
        throttled.script("DescribeStateMachine", error("AccessDeniedException"))
        throttled.script("DescribeExecution", error("ThrottlingException"), error("ExecutionDoesNotExist"))
        async with service(aws, AWS_ENDPOINT_URL_SFN=throttled.url) as (_, url):
            async with http.get(f"{url}/event/{ID}") as response:
                assert response.status == 404
            assert (await scrape(http, url))("throttled_calls_total", "DescribeExecution") == 1


async def test_draining_shows(http: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, wait=0) as aws, service(aws, DRAIN_DELAY="20") as (process, url):
        now = await scrape(http, url)
        assert (now("draining"), now("ready")) == (0, 1)
        process.send(signal.SIGTERM)
        await process.logged("stopping")
        now = await scrape(http, url)
        assert (now("draining"), now("ready")) == (1, 0)

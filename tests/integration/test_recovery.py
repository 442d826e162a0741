"""Lost replies and lost instances: the service in separate processes, against the local AWS and its faults."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from service.local import LocalAws
from tests.chaos.proxy import Proxy
from tests.support.processes import service
from tests.support.step_functions import ScriptedStepFunctions, ok
from tests.support.within import within

RICARDO = {"nome": "Ricardo", "sobrenome": "Marques"}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=55)) as client:
        yield client


async def post(http: aiohttp.ClientSession, url: str, body: Any = RICARDO, **headers: str) -> tuple[int, Any]:
    async with http.post(f"{url}/event", json=body, headers=headers) as response:
        return response.status, json.loads(await response.read())


async def get(http: aiohttp.ClientSession, url: str, execution_id: str, **headers: str) -> tuple[int, Any]:
    async with http.get(f"{url}/event/{execution_id}", headers=headers) as response:
        return response.status, json.loads(await response.read())


async def running(aws: LocalAws, number: int) -> None:
    """Wait until this number of executions are running."""
    async with asyncio.timeout(20):
        while aws.running < number:  # noqa: ASYNC110 - the record has no event to wait for
            await asyncio.sleep(0.01)


def expected(execution_id: str) -> dict[str, str]:
    return {"id": execution_id, "nome completo": "Ricardo Marques"}


async def test_a_result_whose_reply_is_lost_is_read_before_the_wait_ends(http: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, wait=0) as aws, service(aws, RESPONSE_TIMEOUT="4") as (_, url):
        aws.faults.mute.on()
        status, body = await post(http, url)
        assert (status, body) == (200, expected(body["id"]))


async def test_a_result_whose_reply_fell_into_an_outage_is_read_soon_after_it(http: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, wait=1) as aws, service(aws) as (process, url):
        posts = [asyncio.create_task(post(http, url)) for _ in range(30)]
        await running(aws, 30)
        aws.faults.mute.on()
        async with asyncio.timeout(20):
            while aws.running:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        aws.faults.mute.off()
        async with within(12):  # the wait would end after 25 seconds
            await aws.drop_connections(1001)
            responses = await asyncio.gather(*posts)
        for status, body in responses:
            assert (status, body) == (200, expected(body["id"]))
        await process.logged("link_down")


async def test_the_end_of_an_execution_stopped_by_another_instance_is_reported_at_once(
    http: aiohttp.ClientSession,
) -> None:
    async with LocalAws(port=0, wait=50) as aws, service(aws) as (_, url), service(aws) as (_, other):
        waiting = asyncio.create_task(post(http, url))
        await running(aws, 1)
        [execution_id] = aws.executions
        async with within(10):  # the wait would end after 25 seconds
            async with http.delete(f"{other}/event/{execution_id}") as response:
                assert response.status == 204
            status, body = await waiting
        assert (status, body["type"].rpartition(":")[2], body["id"]) == (502, "workflow-aborted", execution_id)


async def test_five_hundred_duplicates_on_two_instances_start_one_execution(http: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, wait=2) as aws, service(aws) as (_, first), service(aws) as (_, second):
        posts = [
            asyncio.create_task(post(http, url, **{"Idempotency-Key": '"order 17"'}))
            for _ in range(250)
            for url in (first, second)
        ]
        responses = await asyncio.gather(*posts)
        [execution_id] = aws.executions
        assert all(response == (200, expected(execution_id)) for response in responses)


async def test_a_key_finds_its_execution_after_the_instance_was_killed(http: aiohttp.ClientSession) -> None:
    key = {"Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}
    async with LocalAws(port=0, wait=2) as aws, service(aws) as (_, second):
        async with service(aws) as (process, first):
            lost = asyncio.create_task(post(http, first, **key))
            await running(aws, 1)
            process.send(signal.SIGKILL)
            with pytest.raises(aiohttp.ClientError):
                await lost
        status, body = await post(http, second, **key)
        assert (status, body) == (200, expected(body["id"]))
        assert list(aws.executions) == [body["id"]]
        # Repeat the request after the end; send another body with the same key; read the execution by its id.
        assert await post(http, second, **key) == (200, body)
        status, problem = await post(http, second, RICARDO | {"nome": "Ana"}, **key)
        assert (status, problem["type"].rpartition(":")[2]) == (422, "idempotency-key-reused")
        assert await get(http, second, body["id"]) == (200, body)


async def test_a_waiting_read_is_answered_by_any_instance(http: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, wait=2) as aws, service(aws) as (_, first), service(aws) as (_, second):
        status, body = await post(http, first, Prefer="respond-async")
        assert status == 202
        reads = [get(http, url, body["id"], Prefer="wait=20") for url in (first, second, second)]
        assert await asyncio.gather(*reads) == [(200, expected(body["id"]))] * 3


async def test_without_appsync_requests_in_flight_are_answered_and_new_ones_refused(
    http: aiohttp.ClientSession,
) -> None:
    async with (
        LocalAws(port=0, wait=2) as aws,
        Proxy(aws.realtime_url, random.Random(1)) as link,
        service(aws, APPSYNC_REALTIME_URL=link.url) as (process, url),
    ):
        posts = [asyncio.create_task(post(http, url)) for _ in range(20)]
        await running(aws, 20)
        link.refusing = True
        link.reset()
        await process.logged("link_down")
        async with within(10):  # the wait would end after 25 seconds
            responses = await asyncio.gather(*posts)
        for status, body in responses:
            assert (status, body) == (200, expected(body["id"]))
        status, problem = await post(http, url)
        assert (status, problem["type"].rpartition(":")[2]) == (503, "link-down")


async def test_a_result_that_is_too_large_for_an_event_is_read_from_the_record(http: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, wait=0) as aws, service(aws) as (_, url):
        for size in (30_000, 100_000, 200_000, 250_000):
            status, body = await post(http, url, {"nome": "x" * size, "sobrenome": "y"})
            assert (status, len(body["nome completo"])) == (200, size + 2)


async def test_new_requests_are_served_during_the_drain_delay(
    http: aiohttp.ClientSession,
) -> None:
    async with LocalAws(port=0, wait=0.2) as aws, service(aws, DRAIN_DELAY="3") as (process, url):
        process.send(signal.SIGTERM)
        await process.logged("stopping")
        async with http.get(f"{url}/readyz") as response:
            assert response.status == 503
        async with http.post(f"{url}/event", json=RICARDO) as response:
            assert response.status == 200
            assert response.headers["Connection"] == "close"
        assert await process.wait() == 0


async def test_an_express_state_machine_is_detected_at_the_start(http: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, wait=0) as aws, ScriptedStepFunctions() as express:
        express.script("DescribeStateMachine", ok(stateMachineArn=aws.state_machine_arn, type="EXPRESS"))
        async with service(aws, AWS_ENDPOINT_URL_SFN=express.url) as (process, url):
            await process.logged("express_state_machine")
            status, problem = await post(http, url, **{"Idempotency-Key": "a"})
            assert (status, problem["type"].rpartition(":")[2]) == (400, "idempotency-unavailable")
            assert express.count("StartExecution") == 0

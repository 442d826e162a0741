from __future__ import annotations

import asyncio
import time

import pytest
from aiohttp import web

from service.errors import AtCapacity, OutcomeUnknown, Refused, Throttled
from service.stepfunctions.client import StepFunctionsClient
from service.stepfunctions.records import Started
from tests.support.step_functions import (
    STARTED,
    Call,
    Script,
    ScriptedStepFunctions,
    error,
    gated,
    reset,
    step_functions_client,
)


async def test_a_throttled_start_is_retried_until_it_is_accepted(
    endpoint: ScriptedStepFunctions, client: StepFunctionsClient
) -> None:
    endpoint.script("StartExecution", error("ThrottlingException"), error("ThrottlingException"), STARTED)
    assert (await client.start("exec-1", "{}")).attempts == 3
    assert endpoint.count("StartExecution") == 3


def page(text: str, status: int) -> Script:
    async def script(_request: web.Request, _call: Call) -> web.Response:
        return web.Response(text=text, status=status)

    return script


@pytest.mark.parametrize(
    "first",
    [
        page("", 429),
        page("<html>", 429),
        page("[]", 429),
        page('{"__type": 5}', 429),
        page("", 408),
        error("RequestTimeout"),
        error("ThrottledException"),
        error("RequestThrottled", 403),
        error("KmsThrottlingException"),
        error("SlowDown", 503),
        error("ThrottlingException:http://internal.amazon.com/coral/com.amazon.coral.availability/"),
        error("com.amazonaws.states#ThrottlingException:http://internal.amazon.com/"),
    ],
)
async def test_every_way_to_say_later_is_retried_and_counted(
    endpoint: ScriptedStepFunctions, client: StepFunctionsClient, first: Script
) -> None:
    endpoint.script("StartExecution", first, STARTED)
    assert (await client.start("exec-1", "{}")).attempts == 2
    assert client.throttled == {"StartExecution": 1}


@pytest.mark.parametrize("script", [page("<html>", 403), page("[]", 400), page("", 302), error("x" * 2**20)])
async def test_a_refusal_names_a_short_code(
    endpoint: ScriptedStepFunctions, client: StepFunctionsClient, script: Script
) -> None:
    endpoint.script("StartExecution", script)
    with pytest.raises(Refused, match=r"^Step Functions returned \d{3}\.$"):
        await client.start("exec-1", "{}")


async def test_endless_throttling_raises_throttled_within_the_timeout(endpoint: ScriptedStepFunctions) -> None:
    endpoint.script("StartExecution", error("ThrottlingException"))
    async with step_functions_client(endpoint.url, timeout=2, attempt_timeout=2) as client:
        began = time.monotonic()
        with pytest.raises(Throttled):
            await client.start("exec-1", "{}")
        assert time.monotonic() - began < 3
    assert endpoint.count("StartExecution") > 1


async def test_an_attempt_without_a_response_times_out_and_is_retried(
    endpoint: ScriptedStepFunctions,
) -> None:
    endpoint.script("StartExecution", gated(asyncio.Event(), STARTED), STARTED)
    async with step_functions_client(endpoint.url, attempt_timeout=0.2) as client:
        await client.start("exec-1", "{}")
    assert endpoint.count("StartExecution") == 2


async def test_an_unknown_outcome_is_not_hidden_by_later_throttling(endpoint: ScriptedStepFunctions) -> None:
    endpoint.script("StartExecution", reset(), error("ThrottlingException"))
    async with step_functions_client(endpoint.url, timeout=0.3) as client:
        with pytest.raises(OutcomeUnknown):
            await client.start("exec-1", "{}")


async def test_an_unknown_outcome_is_not_hidden_by_a_later_refusal(endpoint: ScriptedStepFunctions) -> None:
    endpoint.script("StartExecution", reset(), error("ExpiredTokenException"))
    async with step_functions_client(endpoint.url) as client:
        with pytest.raises(OutcomeUnknown):
            await client.start("exec-1", "{}")
    assert endpoint.count("StartExecution") == 2


async def test_a_refused_call_is_not_retried(endpoint: ScriptedStepFunctions, client: StepFunctionsClient) -> None:
    endpoint.script("StartExecution", error("AccessDeniedException"))
    with pytest.raises(Refused, match="AccessDeniedException"):
        await client.start("exec-1", "{}")
    assert endpoint.count("StartExecution") == 1


async def start_in_slot(client: StepFunctionsClient, execution_id: str, timeout: float = 0.0) -> Started:
    async with client.start_slot(timeout) as deadline:
        return await client.start(execution_id, "{}", deadline)


async def test_a_start_that_waited_for_its_slot_still_has_its_full_timeout(endpoint: ScriptedStepFunctions) -> None:
    gate = asyncio.Event()
    endpoint.script("StartExecution", gated(gate, STARTED), STARTED)
    async with step_functions_client(endpoint.url, max_starts=1, timeout=5, attempt_timeout=5) as client:
        first = asyncio.create_task(start_in_slot(client, "exec-1"))
        await endpoint.arrived("StartExecution")
        second = asyncio.create_task(start_in_slot(client, "exec-2", 30))
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(first, second)
    assert [call["name"] for _, call in endpoint.calls] == ["exec-1", "exec-2"]


async def test_a_start_that_gets_no_slot_is_never_sent(endpoint: ScriptedStepFunctions) -> None:
    gate = asyncio.Event()
    endpoint.script("StartExecution", gated(gate, STARTED))
    async with step_functions_client(endpoint.url, max_starts=1, timeout=20, attempt_timeout=20) as client:
        first = asyncio.create_task(start_in_slot(client, "exec-1"))
        await endpoint.arrived("StartExecution")
        client._retrying.timeout = 0.1  # the second call need not wait as long as the first may take
        with pytest.raises(AtCapacity):
            await start_in_slot(client, "exec-2")
        gate.set()
        await first
    assert endpoint.count("StartExecution") == 1

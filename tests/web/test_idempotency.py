from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from service.bridge import shared_starts
from service.errors import InvalidIdempotencyKey
from service.stepfunctions import reader
from service.web import idempotency
from tests.support.front import NAMES, Front, front
from tests.support.ids import IDS
from tests.support.shared_execution import EXISTS
from tests.support.step_functions import STARTED, Script, described, error


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([], None),
        (["8e03978e-40d5-43dd-bc93-6894a57f9324"], "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        (['"8e03978e-40d5-43dd-bc93-6894a57f9324"'], "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        (['  "with space"\t'], "with space"),
        ([r'"a \"quoted\" \\ key"'], r'a "quoted" \ key'),
        (["x" * 255], "x" * 255),
    ],
)
def test_a_key_is_read_with_and_without_quotes(headers: list[str], key: str | None) -> None:
    assert idempotency.parse(headers) == key


@pytest.mark.parametrize(
    "headers",
    [
        [""],
        ['""'],
        ["a", "a"],
        ["a, b"],
        ["a b"],
        ['"open'],
        ['"a" ; x=1'],
        [r'"\x"'],
        ["schlüssel"],
        ["x" * 256],
        ["a\x00"],
    ],
)
def test_an_invalid_key_is_rejected(headers: list[str]) -> None:
    with pytest.raises(InvalidIdempotencyKey):
        idempotency.parse(headers)


THEIRS = json.dumps({"id": "x", "event": '{"nome": "B", "sobrenome": "C"}', "reply": {"channel": "ns/other/x"}})


async def no_answer(*_: object) -> web.Response:
    """Never respond."""
    await asyncio.Event().wait()
    raise AssertionError


CONFLICTS = {
    "it has ended": (422, EXISTS, described("SUCCEEDED", input=THEIRS, output="1")),
    "it runs on another instance": (422, EXISTS, described("RUNNING", input=THEIRS)),
    "it has no record yet": (409, EXISTS, error("ExecutionDoesNotExist")),
    "it has a foreign input": (409, EXISTS, described("RUNNING", input="{}")),
    "its record cannot be read": (503, EXISTS, error("AccessDeniedException")),
    "its record is throttled": (503, EXISTS, error("ThrottlingException")),
    "the start is not confirmed": (422, no_answer, described("RUNNING", input=THEIRS)),
    "the start is not confirmed, nor the record read": (503, no_answer, error("ThrottlingException")),
}


async def assert_not_named(it: Front, status: int, accept: str) -> None:
    """Send a request under the key; it is refused, and nothing names the execution that the key leads to."""
    headers = {"Idempotency-Key": "order-1001", "Accept": accept, "Prefer": "wait=1"}
    with capture_logs() as logs:
        async with it.client.post("/event", json=NAMES, headers=headers) as response:
            text = await response.text()
    assert response.status == status, text
    theirs = IDS.for_key("order-1001")
    own_lines = [line for line in logs if line["event"] == "request"]
    assert len(own_lines) == 1
    assert theirs not in f"{text} {response.headers} {own_lines}"


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
@pytest.mark.parametrize("conflict", CONFLICTS)
async def test_a_key_of_another_caller_does_not_lead_to_their_execution(
    conflict: str, accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "EXISTING_RETRY_DELAYS_S", (0.01,) * 4)
    status, start, record = CONFLICTS[conflict]
    async with front(timeout=1) as it:
        it.stage.endpoint.script("StartExecution", start)
        it.stage.endpoint.script("DescribeExecution", record)
        await assert_not_named(it, status, accept)


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
@pytest.mark.parametrize(("status", "start"), [(422, STARTED), (409, no_answer)], ids=["started", "still starting"])
async def test_a_key_in_use_on_this_instance_does_not_lead_to_the_execution(
    status: int, start: Script, accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_starts, "SHARED_START_TIMEOUT_S", 0.2)
    async with front() as it:
        it.stage.endpoint.script("StartExecution", start)
        body = {"nome": "B", "sobrenome": "C"}
        theirs = asyncio.create_task(it.client.post("/event", json=body, headers={"Idempotency-Key": "order-1001"}))
        await it.stage.started()
        await assert_not_named(it, status, accept)
        theirs.cancel()
        await asyncio.wait([theirs])
        it.stage.bridges.release()

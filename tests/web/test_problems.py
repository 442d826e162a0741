from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from service.errors import AtCapacity
from service.stepfunctions.token_bucket import Quota
from tests.support.front import NAMES, Front, front
from tests.support.ids import ID
from tests.support.step_functions import described, error, ok


async def test_a_running_execution_says_when_to_ask_again() -> None:
    async with front() as it:
        for stop in (9.0, 9.0):
            it.stage.endpoint.script("DescribeExecution", described("SUCCEEDED", output="{}", stopDate=stop))
            async with it.client.get(f"/event/{ID}") as response:
                assert response.status == 200
        async with it.client.post("/event", json=NAMES, headers={"Prefer": "respond-async"}) as response:
            assert (response.status, response.headers["Retry-After"]) == (202, "8")


async def test_retry_after_is_never_more_than_half_a_minute() -> None:
    async with front() as it:
        it.stage.endpoint.script("DescribeExecution", described("RUNNING"))  # since 1970
        async with it.client.get(f"/event/{ID}") as response:
            assert (response.status, response.headers["Retry-After"]) == (202, "30")


async def test_a_full_instance_says_when_to_retry() -> None:
    async with front(max_in_flight=1) as it:
        it.stage.endpoint.script("DescribeExecution", described("SUCCEEDED", output="{}", stopDate=9.0))
        await it.client.get(f"/event/{ID}")
        first = asyncio.create_task(it.client.post("/event", json=NAMES))
        execution_id = await it.stage.started()
        async with it.client.post("/event", json=NAMES) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "4")
        it.stage.reply(execution_id)
        await first


async def test_while_the_link_is_down_retry_after_grows_with_the_outage() -> None:
    async with front() as it:
        it.stage.channel.go_down(since=6.5)
        async with it.client.post("/event", json=NAMES) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "7")


async def test_a_read_beyond_the_quota_says_when_to_retry() -> None:
    async with front(quotas={"describe": Quota(1, 1)}) as it:
        it.stage.endpoint.script("DescribeExecution", error("ThrottlingException"))
        bucket = it.stage.record.budgets.describe.bucket
        moment = bucket._clock()
        bucket._clock = lambda: moment  # no refill, however long the request takes
        for _ in range(4):
            bucket.reserve(60)
        async with it.client.get(f"/event/{ID}") as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "4")


def test_retry_after_has_a_default_per_problem_that_an_instance_overrides() -> None:
    assert AtCapacity("full").retry_after == AtCapacity.retry_after == 1
    assert AtCapacity("full", retry_after=0.0).retry_after == 0


async def end(it: Front, execution_id: str, said_by: str, failure: dict[str, Any]) -> None:
    """End an execution by this failure, in its reply, its record or its history."""
    if said_by == "reply":
        it.stage.replies.deliver(json.dumps({"id": execution_id, "status": "FAILED", **failure}))
        return
    it.stage.endpoint.script("DescribeExecution", described("FAILED", **failure))
    details = {"type": "ExecutionFailed", "executionFailedEventDetails": failure}
    it.stage.endpoint.script("GetExecutionHistory", ok(events=[details]))
    if said_by == "history":
        bucket = it.stage.record.budgets.describe.bucket
        moment = bucket._clock()
        bucket._clock = lambda: moment  # no refill, however long the request takes
        while bucket.take():
            pass
    it.stage.replies.deliver(json.dumps({"id": execution_id, "status": "SUCCEEDED"}))


@pytest.mark.parametrize("said_by", ["reply", "record", "history"])
@pytest.mark.parametrize(
    ("failure", "shown"),
    [
        ({"error": "Broken", "cause": "cut \ud83d"}, "Broken"),
        ({"error": "Não.Há \U0001f600"}, "Não.Há \U0001f600"),
        ({"error": "x" * 2**20}, "x" * 256),
        ({"error": "a\ud800b"}, "a\ufffdb"),
        ({"error": "a\r\n\x1b[31m\u2028\u202eb\0"}, "a\ufffd\ufffd\ufffd[31m\ufffd\ufffdb\ufffd"),
        ({"error": ""}, ""),
        ({"error": None}, ""),
        ({"error": 5}, ""),
        ({"error": {"Error": "Broken"}}, ""),
        ({}, ""),
    ],
    ids=["cause", "unicode", "long", "surrogate", "controls", "empty", "null", "number", "object", "missing"],
)
async def test_any_name_of_a_workflows_error_is_shown_bounded_and_printable_wherever_it_comes_from(
    said_by: str, failure: dict[str, Any], shown: str
) -> None:
    async with front() as it:
        request = asyncio.create_task(it.problem("POST", "/event", 502, "workflow-failed", json=NAMES))
        await end(it, await it.stage.started(), said_by, failure)
        assert (await request)["error"] == shown
        assert it.stage.endpoint.count("DescribeExecution") == (said_by == "record")
        assert it.stage.endpoint.count("GetExecutionHistory") == (said_by == "history")

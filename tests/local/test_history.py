from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from botocore.exceptions import ClientError

from service.local import AWS_QUOTAS, ActionQuota, LocalAws
from tests.local.conftest import Aws

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

EVENT = {"id": "a", "event": '{"nome":"A","sobrenome":"B"}', "reply": {"channel": "AsyncEvents/i/a"}}


@pytest.fixture
async def local() -> AsyncIterator[LocalAws]:
    async with LocalAws(port=0, wait=0, quotas=AWS_QUOTAS) as local:
        yield local


async def history(aws: Aws, name: str, **arguments: Any) -> dict[str, Any]:
    return await aws.call("get_execution_history", executionArn=aws.local.executions[name].arn, **arguments)


async def test_the_last_event_of_a_success_has_its_output(aws: Aws) -> None:
    await aws.start("a", EVENT)
    described = await aws.ended("a")
    page = await history(aws, "a", reverseOrder=True, maxResults=1)
    (event,) = page["events"]
    assert event["type"] == "ExecutionSucceeded"
    assert event["executionSucceededEventDetails"]["output"] == described["output"]
    assert event["timestamp"] == described["stopDate"]
    rest = await history(aws, "a", reverseOrder=True, nextToken=page["nextToken"])
    events = rest["events"]
    assert [event["id"] for event in events] == [*range(event["id"] - 1, 0, -1)]
    entered = [event["type"] for event in events if event["type"].endswith("StateEntered")]
    assert entered == ["TaskStateEntered", "PassStateEntered", "PassStateEntered", "WaitStateEntered"]
    assert "nextToken" not in rest


async def test_a_history_begins_with_the_start_and_the_input(aws: Aws) -> None:
    await aws.start("a", EVENT)
    await aws.ended("a")
    first, second, *_, last = (await history(aws, "a"))["events"]
    assert (first["type"], first["id"], second["previousEventId"]) == ("ExecutionStarted", 1, 1)
    assert json.loads(first["executionStartedEventDetails"]["input"]) == EVENT
    assert last["type"] == "ExecutionSucceeded"
    without_data = (await history(aws, "a", includeExecutionData=False))["events"]
    assert "input" not in without_data[0]["executionStartedEventDetails"]
    assert "executionSucceededEventDetails" not in without_data[-1]
    assert not any("input" in event.get("stateEnteredEventDetails", {}) for event in without_data)


async def test_the_last_event_of_a_failure_has_its_error_and_cause(aws: Aws) -> None:
    await aws.start("a", EVENT | {"event": "{}"})
    await aws.ended("a")
    event = (await history(aws, "a", reverseOrder=True))["events"][0]
    assert event["type"] == "ExecutionFailed"
    assert event["executionFailedEventDetails"] == {
        "error": "States.QueryEvaluationError",
        "cause": "state 'BindName': nome and sobrenome must be strings",
    }


async def test_a_running_execution_has_no_last_event_and_a_stopped_one_is_aborted() -> None:
    async with LocalAws(port=0, wait=200) as local, aiohttp.ClientSession() as session:
        aws = Aws(local, session)
        arn = await aws.start("a", EVENT)
        types = [event["type"] for event in (await history(aws, "a"))["events"]]
        assert types == ["ExecutionStarted", "WaitStateEntered"]
        await aws.call("stop_execution", executionArn=arn, error="Gone", cause="why")
        event = (await history(aws, "a", reverseOrder=True))["events"][0]
        assert event["type"] == "ExecutionAborted"
        assert event["executionAbortedEventDetails"] == {"error": "Gone", "cause": "why"}
        await aws.close()


async def test_an_unknown_execution_has_no_history(aws: Aws) -> None:
    arn = aws.local.state_machine_arn.replace(":stateMachine:", ":execution:") + ":none"
    with pytest.raises(ClientError) as caught:
        await aws.call("get_execution_history", executionArn=arn)
    assert caught.value.response["Error"]["Code"] == "ExecutionDoesNotExist"


async def test_calls_beyond_the_quota_are_throttled_and_counted() -> None:
    quotas = {"ListStateMachines": ActionQuota(2, 0.001)}
    async with LocalAws(port=0, quotas=quotas) as local, aiohttp.ClientSession() as session:
        aws = Aws(local, session)
        for _ in range(2):
            await aws.call("list_state_machines")
        with pytest.raises(ClientError) as caught:
            await aws.call("list_state_machines")
        assert caught.value.response["Error"]["Code"] == "ThrottlingException"
        assert (local.calls["ListStateMachines"], local.throttled["ListStateMachines"]) == (3, 1)
        await aws.close()

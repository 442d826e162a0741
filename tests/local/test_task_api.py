from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from botocore.exceptions import ClientError

from service.local import LocalAws
from tests.local.conftest import Aws, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MACHINE = {
    "StartAt": "Approve",
    "States": {
        "Approve": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Parameters": {"MessageBody": {"token.$": "$$.Task.Token"}},
            "HeartbeatSeconds": 100,
            "End": True,
        }
    },
}
MOCKS = {
    "StateMachines": {
        "m": {"TestCases": {"Wait": {"Approve": {"WaitForTaskToken": True}}, "Quick": {"Approve": {"Return": "quick"}}}}
    }
}


@pytest.fixture
async def aws(tmp_path: Path) -> AsyncIterator[Aws]:
    (tmp_path / "machine.json").write_text(json.dumps(MACHINE))
    (tmp_path / "mocks.json").write_text(json.dumps(MOCKS))
    async with (
        LocalAws(port=0, definition=tmp_path / "machine.json", mocks=tmp_path / "mocks.json") as local,
        aiohttp.ClientSession() as session,
    ):
        aws = Aws(local, session)
        yield aws
        await aws.close()


async def token(aws: Aws, name: str) -> str:
    """Start an execution and return the token of its task, as a worker finds it."""
    await aws.start(name)
    await until(lambda: any(event.kind == "TaskSubmitted" for event in aws.local.executions[name].events))
    history = await aws.call("get_execution_history", executionArn=aws.local.executions[name].arn)
    scheduled = next(event for event in history["events"] if event["type"] == "TaskScheduled")
    found: str = json.loads(scheduled["taskScheduledEventDetails"]["parameters"])["MessageBody"]["token"]
    return found


async def code(aws: Aws, action: str, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        await aws.call(action, **arguments)
    kind: str = caught.value.response["Error"]["Code"]
    return kind


async def test_a_worker_ends_a_task_with_its_token(aws: Aws) -> None:
    found = await token(aws, "a")
    await aws.call("send_task_heartbeat", taskToken=found)
    assert await code(aws, "send_task_success", taskToken=found, output="{") == "InvalidOutput"
    await aws.call("send_task_success", taskToken=found, output='{"approved": true}')
    assert json.loads((await aws.ended("a"))["output"]) == {"approved": True}
    assert await code(aws, "send_task_success", taskToken=found, output="{}") == "TaskTimedOut"


async def test_a_worker_lets_a_task_fail(aws: Aws) -> None:
    await aws.call("send_task_failure", taskToken=await token(aws, "a"), error="Refused", cause="no")
    ended = await aws.ended("a")
    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", "Refused", "no")


async def test_a_start_chooses_a_test_case_as_in_step_functions_local(aws: Aws) -> None:
    arn = aws.local.state_machine_arn
    await aws.call("start_execution", stateMachineArn=f"{arn}#Quick", name="q")
    assert (await aws.ended("q"))["output"] == '"quick"'
    assert await code(aws, "start_execution", stateMachineArn=f"{arn}#Gone") == "ValidationException"

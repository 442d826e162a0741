"""The AWS CLI uses the local AWS: the commands that docs/workflows.md shows, and those that it names."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from service.local import LocalAws
from service.local.__main__ import settings
from tests.local.conftest import DEADLINE, until

pytestmark = pytest.mark.timeout(300)  # each command takes a second to start, and many on a busy machine

PAGE = (Path(__file__).parents[2] / "docs" / "workflows.md").read_text(encoding="utf-8")
ASK = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "End": True}
ECHO = {"StartAt": "E", "States": {"E": {"Type": "Pass", "End": True}}}
FAIL = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Broken"}}}


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    """Skip if there is no AWS CLI, or only a stand-in for one that is not installed."""
    found = shutil.which("aws")
    if found is None or subprocess.run([found, "--version"], capture_output=True, check=False, timeout=60).returncode:
        pytest.skip("the AWS CLI is not installed: pip install awscli")


@pytest.fixture
async def aws(tmp_path: Path) -> AsyncIterator[LocalAws]:
    """A local AWS with a workflow that waits for a person."""
    (tmp_path / "ask.json").write_text(json.dumps({"StartAt": "Ask", "States": {"Ask": ASK}}))
    mocks = {"StateMachines": {"m": {"TestCases": {"c": {"Ask": {"WaitForTaskToken": True}}}}}}
    (tmp_path / "mocks.json").write_text(json.dumps(mocks))
    async with LocalAws(port=0, definition=tmp_path / "ask.json", mocks=tmp_path / "mocks.json") as aws:
        yield aws


async def shell(aws: LocalAws, line: str) -> tuple[int, str, str]:
    """Run a line in bash, with the settings that the local AWS prints, and none of the user's."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    clean |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_PAGER": ""}
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", settings(aws.url) + line),
        env=clean,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(3 * DEADLINE):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def cli(aws: LocalAws, command: str) -> Any:
    """Return the response of a command of `aws stepfunctions`."""
    status, out, err = await shell(aws, f"aws stepfunctions {command}")
    assert (status, err) == (0, "")
    return json.loads(out) if out else None


async def test_the_documented_commands_start_an_execution_show_its_history_and_end_its_task(aws: LocalAws) -> None:
    (start, history) = re.findall(r"^    (aws stepfunctions .*)$", PAGE, re.MULTILINE)
    assert (await shell(aws, start))[::2] == (0, "")
    status, out, err = await shell(aws, history)
    assert (status, err) == (0, "")
    kinds = [event["type"] for event in json.loads(out)["events"]]
    assert kinds == ["ExecutionStarted", "TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSubmitted"]
    (token,) = aws.hosted().tasks.tokens._waiting
    await cli(aws, f"send-task-success --task-token {token} --task-output '{{\"paid\": true}}'")
    await until(lambda: aws.executions["first"].status != "RUNNING")
    described = await cli(aws, f"describe-execution --execution-arn {aws.executions['first'].arn}")
    assert (described["status"], described["output"]) == ("SUCCEEDED", '{"paid":true}')


async def test_state_machines_versions_and_aliases_are_made_and_run(aws: LocalAws) -> None:
    arn = aws.state_machine_arn.replace("event-workflow", "mine")
    role = f"--role-arn {arn.replace(':states:', ':iam:')}"
    assert (await cli(aws, f"validate-state-machine-definition --definition '{json.dumps(ECHO)}'"))["result"] == "OK"
    made = await cli(aws, f"create-state-machine --name mine {role} --definition '{json.dumps(ECHO)}' --publish")
    assert made["stateMachineVersionArn"] == f"{arn}:1"
    updated = await cli(
        aws, f"update-state-machine --state-machine-arn {arn} --definition '{json.dumps(FAIL)}' --publish"
    )
    assert updated["stateMachineVersionArn"] == f"{arn}:2"
    routes = f"stateMachineVersionArn={arn}:1,weight=100"
    await cli(aws, f"create-state-machine-alias --name PROD --routing-configuration {routes}")
    await cli(aws, f"start-execution --state-machine-arn {arn}:PROD --name one")
    await cli(aws, f"start-execution --state-machine-arn {arn} --name two")
    await until(lambda: aws.running == 0)
    listed = await cli(aws, f"list-executions --state-machine-arn {arn}")
    assert {one["name"]: one["status"] for one in listed["executions"]} == {"one": "SUCCEEDED", "two": "FAILED"}
    await cli(aws, f"redrive-execution --execution-arn {aws.executions['two'].arn}")
    assert aws.executions["two"].redrive_count == 1

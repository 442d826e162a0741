from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from botocore.exceptions import ClientError

from service.local import LocalAws
from tests.local.conftest import Aws, until

ROLE = "arn:aws:iam::000000000000:role/any"


def definition(result: Any) -> str:
    return json.dumps({"StartAt": "P", "States": {"P": {"Type": "Pass", "Result": result, "End": True}}})


async def create(aws: Aws, name: str = "mine", result: Any = 1, **more: Any) -> dict[str, Any]:
    return await aws.call("create_state_machine", name=name, definition=definition(result), roleArn=ROLE, **more)


async def output(aws: Aws, arn: str) -> Any:
    started = await aws.call("start_execution", stateMachineArn=arn)
    name = started["executionArn"].rpartition(":")[2]
    await until(lambda: aws.local.executions[name].status != "RUNNING")
    described = await aws.call("describe_execution", executionArn=started["executionArn"])
    return json.loads(described["output"])


async def code(aws: Aws, action: str, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        await aws.call(action, **arguments)
    kind: str = caught.value.response["Error"]["Code"]
    return kind


async def test_a_state_machine_is_created_once_and_runs(aws: Aws) -> None:
    created = await create(aws, type="EXPRESS")
    arn = created["stateMachineArn"]
    assert arn == aws.local.state_machine_arn.replace("event-workflow", "mine")
    assert await output(aws, arn) == 1
    assert await create(aws, type="EXPRESS") | {"ResponseMetadata": 0} == created | {"ResponseMetadata": 0}
    described = await aws.call("describe_state_machine", stateMachineArn=arn)
    assert (described["name"], described["type"], described["definition"]) == ("mine", "EXPRESS", definition(1))
    listed = (await aws.call("list_state_machines"))["stateMachines"]
    assert [machine["name"] for machine in listed] == ["event-workflow", "mine"]


async def test_its_successes_are_relayed_as_it_may_not_report_them_itself(aws: Aws) -> None:
    arn = (await create(aws))["stateMachineArn"]
    await aws.call("start_execution", stateMachineArn=arn, name="exec-abc00000-0000-0000-0000-000000000000")
    relay = aws.local.relay
    assert relay is not None
    await until(lambda: relay.started == 1)


async def test_what_aws_refuses_is_refused(aws: Aws) -> None:
    await create(aws)
    other = {"name": "mine", "definition": definition(2), "roleArn": ROLE}
    assert await code(aws, "create_state_machine", **other) == "StateMachineAlreadyExists"
    assert await code(aws, "create_state_machine", **other | {"name": "a b"}) == "InvalidName"
    assert await code(aws, "create_state_machine", **other | {"name": "b", "definition": "{}"}) == "InvalidDefinition"
    assert await code(aws, "create_state_machine", **other | {"name": "b", "type": "FAST"}) == "ValidationException"
    gone = aws.local.state_machine_arn.replace("event-workflow", "gone")
    for action in ("update_state_machine", "publish_state_machine_version", "list_state_machine_versions"):
        assert await code(aws, action, stateMachineArn=gone) == "StateMachineDoesNotExist"


async def test_an_update_counts_for_new_executions_and_versions_keep_theirs(aws: Aws) -> None:
    created = await create(aws, publish=True)
    arn, first = created["stateMachineArn"], created["stateMachineVersionArn"]
    assert first == f"{arn}:1"
    updated = await aws.call("update_state_machine", stateMachineArn=arn, definition=definition(2), publish=True)
    assert updated["stateMachineVersionArn"] == f"{arn}:2"
    assert (await aws.call("publish_state_machine_version", stateMachineArn=arn))[
        "stateMachineVersionArn"
    ] == f"{arn}:2"
    assert [await output(aws, one) for one in (arn, first, f"{arn}:2")] == [2, 1, 2]
    versions = (await aws.call("list_state_machine_versions", stateMachineArn=arn))["stateMachineVersions"]
    assert [version["stateMachineVersionArn"] for version in versions] == [f"{arn}:2", first]
    assert (await aws.call("describe_state_machine", stateMachineArn=first))["definition"] == definition(1)
    assert await code(aws, "update_state_machine", stateMachineArn=arn, definition="{") == "InvalidDefinition"
    assert await output(aws, arn) == 2
    assert aws.local.hosted(arn).executions.machine.text == definition(2)


async def test_a_deleted_state_machine_is_gone(aws: Aws) -> None:
    arn = (await create(aws))["stateMachineArn"]
    await aws.call("delete_state_machine", stateMachineArn=arn)
    await aws.call("delete_state_machine", stateMachineArn=arn)
    assert await code(aws, "start_execution", stateMachineArn=arn) == "StateMachineDoesNotExist"


async def test_the_file_of_mocks_may_have_some_for_a_state_machine_that_is_created(tmp_path: Path) -> None:
    cases = {"event-workflow": {"c": {"Publish": {"Return": 1}}}, "mine": {"c": {"T": {"Return": 7}}}}
    path = tmp_path / "mocks.json"
    path.write_text(json.dumps({"StateMachines": {name: {"TestCases": case} for name, case in cases.items()}}))
    task = {"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": "arn:aws:lambda:::f", "End": True}}}
    async with LocalAws(port=0, mocks=path) as local, aiohttp.ClientSession() as session:
        aws = Aws(local, session)
        given = {"definition": json.dumps(task), "roleArn": ROLE}
        assert await output(aws, (await aws.call("create_state_machine", name="mine", **given))["stateMachineArn"]) == 7
        assert await code(aws, "create_state_machine", name="other", **given) == "InvalidDefinition"
        await aws.close()

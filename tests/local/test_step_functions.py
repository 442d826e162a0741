from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from service.local import LocalAws
from service.local.server import WORKFLOW
from tests.local.conftest import DEADLINE, Aws, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

EVENT = {"id": "a", "event": '{"nome":"A","sobrenome":"B"}', "reply": {"channel": "AsyncEvents/i/a"}}
SIGNED = "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/states/aws4_request, SignedHeaders=host, Signature=0"


@pytest.fixture
async def local() -> AsyncIterator[LocalAws]:
    """A local AWS whose executions run longer than any test."""
    async with LocalAws(port=0, wait=200) as local:
        yield local


async def refused(aws: Aws, action: str, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        await aws.call(action, **arguments)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    code: str = caught.value.response["Error"]["Code"]
    return code


async def post(aws: Aws, target: str, body: str, authorization: str = SIGNED) -> tuple[int, Any]:
    headers = {"X-Amz-Target": target, "Authorization": authorization, "Content-Type": "application/x-amz-json-1.0"}
    async with asyncio.timeout(DEADLINE), aws.session.post(aws.local.url, data=body, headers=headers) as response:
        return response.status, json.loads(await response.read())


async def test_a_second_start_with_the_same_input_while_running_returns_the_same_arn_and_date(aws: Aws) -> None:
    arguments = {"stateMachineArn": aws.local.state_machine_arn, "name": "a", "input": json.dumps(EVENT)}
    first, second = await aws.call("start_execution", **arguments), await aws.call("start_execution", **arguments)
    assert first["executionArn"] == "arn:aws:states:us-east-1:000000000000:execution:event-workflow:a"
    assert (second["executionArn"], second["startDate"]) == (first["executionArn"], first["startDate"])
    assert aws.local.running == 1


async def test_a_second_start_with_another_input_is_rejected(aws: Aws) -> None:
    await aws.start("a", EVENT)
    arn = aws.local.state_machine_arn
    assert await refused(aws, "start_execution", stateMachineArn=arn, name="a", input="{}") == "ExecutionAlreadyExists"


async def test_a_second_start_after_the_end_is_rejected_even_with_the_same_input(aws: Aws) -> None:
    arn = await aws.start("a", EVENT)
    await aws.call("stop_execution", executionArn=arn)
    assert (
        await refused(
            aws, "start_execution", stateMachineArn=aws.local.state_machine_arn, name="a", input=json.dumps(EVENT)
        )
        == "ExecutionAlreadyExists"
    )


async def test_an_execution_without_a_name_and_an_input_gets_both(aws: Aws) -> None:
    arn = (await aws.call("start_execution", stateMachineArn=aws.local.state_machine_arn))["executionArn"]
    described = await aws.call("describe_execution", executionArn=arn)
    assert described["input"] == "{}"
    assert len(described["name"]) == 36


async def test_describe_returns_what_was_started(aws: Aws) -> None:
    arn = await aws.start("a", EVENT, traceHeader="Root=1-2-3")
    described = await aws.call("describe_execution", executionArn=arn)
    assert (described["status"], described["name"], described["executionArn"]) == ("RUNNING", "a", arn)
    assert described["stateMachineArn"] == aws.local.state_machine_arn
    assert json.loads(described["input"]) == EVENT
    assert described["traceHeader"] == "Root=1-2-3"
    assert "stopDate" not in described
    assert "output" not in described
    assert described["startDate"].timestamp() == pytest.approx(aws.local.executions["a"].start_date, abs=0.002)


async def test_a_stopped_execution_is_aborted_with_the_given_error_and_cause(aws: Aws) -> None:
    arn = await aws.start("a", EVENT)
    stopped = await aws.call("stop_execution", executionArn=arn, error="Gone", cause="the caller left")
    described = await aws.call("describe_execution", executionArn=arn)
    assert (described["status"], described["error"], described["cause"]) == ("ABORTED", "Gone", "the caller left")
    assert described["stopDate"] == stopped["stopDate"]
    again = await aws.call("stop_execution", executionArn=arn, error="Other")
    assert again["stopDate"] == stopped["stopDate"]
    await until(lambda: aws.local.running == 0)


@pytest.mark.parametrize("name", ["a b", "a/b", "a:b", "a*", "a\\b", 'a"b', "a\x00", "a\x7f", "a<b", "a`b", "a,b"])
async def test_a_name_with_a_forbidden_character_is_rejected(aws: Aws, name: str) -> None:
    assert (
        await refused(aws, "start_execution", stateMachineArn=aws.local.state_machine_arn, name=name) == "InvalidName"
    )


@pytest.mark.parametrize("name", ["é", "a-b_c.d", "n" * 80, "名前"])
async def test_other_names_are_accepted(aws: Aws, name: str) -> None:
    assert (await aws.start(name)).endswith(f":{name}")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"name": "n" * 81}, "ValidationException"),
        ({"name": ""}, "ValidationException"),
        ({"name": 7}, "SerializationException"),
        ({"input": "{"}, "InvalidExecutionInput"),
        ({"input": "NaN"}, "InvalidExecutionInput"),
        ({"input": "[" * 200_000}, "InvalidExecutionInput"),
        ({"input": '"' + "a" * 262_143 + '"'}, "ValidationException"),
        ({"input": '"' + "é" * 131_072 + '"'}, "ValidationException"),
        ({"stateMachineArn": "arn:aws:states:us-east-1:000000000000:stateMachine:no"}, "StateMachineDoesNotExist"),
        ({"stateMachineArn": "nonsense"}, "InvalidArn"),
        ({"stateMachineArn": None}, "ValidationException"),
        ({"traceHeader": "x" * 257}, "ValidationException"),
    ],
)
async def test_a_start_with_an_invalid_argument_gets_the_right_error(aws: Aws, body: dict[str, Any], kind: str) -> None:
    arguments = {"stateMachineArn": aws.local.state_machine_arn} | body
    status, response = await post(aws, "AWSStepFunctions.StartExecution", json.dumps(arguments, ensure_ascii=False))
    assert (status, response["__type"]) == (400, kind)
    assert response["message"]
    assert aws.local.running == 0


async def test_an_input_of_exactly_the_limit_is_accepted(aws: Aws) -> None:
    event = json.dumps(EVENT)
    await aws.start("a", EVENT | {"more": "x" * (262_144 - len(event) - len(', "more": ""'))})
    assert len(aws.local.executions["a"].input) == 262_144


async def test_an_unknown_execution_and_an_invalid_arn_get_different_errors(aws: Aws) -> None:
    unknown = "arn:aws:states:us-east-1:000000000000:execution:event-workflow:no"
    await aws.start("a", EVENT)
    other_machine = "arn:aws:states:us-east-1:000000000000:execution:other:a"
    for action in ("describe_execution", "stop_execution"):
        assert await refused(aws, action, executionArn=unknown) == "ExecutionDoesNotExist"
        assert await refused(aws, action, executionArn=other_machine) == "ExecutionDoesNotExist"
        assert await refused(aws, action, executionArn="nonsense") == "InvalidArn"


async def test_executions_are_listed_newest_first_in_pages(aws: Aws) -> None:
    for number in range(5):
        await aws.start(f"e{number}", EVENT)
    pages: list[list[str]] = []
    more: dict[str, str] = {}
    while not pages or more:
        page = await aws.call("list_executions", stateMachineArn=aws.local.state_machine_arn, maxResults=2, **more)
        pages.append([execution["name"] for execution in page["executions"]])
        more = {"nextToken": page["nextToken"]} if "nextToken" in page else {}
    assert pages == [["e4", "e3"], ["e2", "e1"], ["e0"]]


async def test_executions_are_listed_by_status(aws: Aws) -> None:
    await aws.start("kept", EVENT)
    await aws.call("stop_execution", executionArn=await aws.start("stopped", EVENT))
    for status, names in (("RUNNING", ["kept"]), ("ABORTED", ["stopped"]), ("SUCCEEDED", [])):
        page = await aws.call("list_executions", stateMachineArn=aws.local.state_machine_arn, statusFilter=status)
        assert [execution["name"] for execution in page["executions"]] == names
        assert all(execution["status"] == status for execution in page["executions"])


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"statusFilter": "DONE"}, "ValidationException"),
        ({"maxResults": 1001}, "ValidationException"),
        ({"maxResults": "x"}, "ValidationException"),
        ({"nextToken": "!"}, "InvalidToken"),
    ],
)
async def test_a_list_with_an_invalid_argument_gets_the_right_error(aws: Aws, body: dict[str, Any], kind: str) -> None:
    arguments = json.dumps({"stateMachineArn": aws.local.state_machine_arn} | body)
    status, response = await post(aws, "AWSStepFunctions.ListExecutions", arguments)
    assert (status, response["__type"]) == (400, kind)


async def test_the_definition_that_runs_is_the_file_with_its_placeholders_filled_in(aws: Aws) -> None:
    described = await aws.call("describe_state_machine", stateMachineArn=aws.local.state_machine_arn)
    expected = WORKFLOW.read_text(encoding="utf-8")
    for name, value in {
        "partition": "aws",
        "endpoint": aws.local.http_url,
        "connection_arn": aws.local.connection_arn,
        "wait_seconds": "200",
    }.items():
        expected = expected.replace("${" + name + "}", value)
    assert described["definition"] == expected
    assert (described["status"], described["type"], described["name"]) == ("ACTIVE", "STANDARD", "event-workflow")


async def test_the_only_state_machine_is_listed(aws: Aws) -> None:
    machines = (await aws.call("list_state_machines"))["stateMachines"]
    assert [machine["stateMachineArn"] for machine in machines] == [aws.local.state_machine_arn]


@pytest.mark.parametrize("authorization", ["", "Bearer x", "AWS4-HMAC-SHA256 nonsense"])
async def test_an_unsigned_call_is_rejected(aws: Aws, authorization: str) -> None:
    status, response = await post(aws, "AWSStepFunctions.ListStateMachines", "{}", authorization)
    assert (status, response["__type"]) == (403, "MissingAuthenticationToken")


@pytest.mark.parametrize("target", ["AWSStepFunctions.CreateActivity", "Other.StartExecution", ""])
async def test_an_unknown_operation_is_rejected(aws: Aws, target: str) -> None:
    status, response = await post(aws, target, "{}")
    assert (status, response["__type"]) == (400, "UnknownOperationException")


@pytest.mark.parametrize("body", ["", "nope", "[]"])
async def test_a_body_other_than_a_json_object_is_rejected(aws: Aws, body: str) -> None:
    status, response = await post(aws, "AWSStepFunctions.ListStateMachines", body)
    assert (status, response["__type"]) == (400, "SerializationException")

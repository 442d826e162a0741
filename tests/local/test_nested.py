from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from service.local import LocalAws
from service.local.asl.definition import DefinitionError, parse
from service.local.tasks import Tasks
from tests.local.conftest import Aws, until

if TYPE_CHECKING:
    from pathlib import Path

START = "arn:aws:states:::states:startExecution"
PREFIX = LocalAws.state_machine_arn.removesuffix("event-workflow")
DOUBLE = {"Double": {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, $.n)"}, "End": True}}
FAIL = {"Fail": {"Type": "Fail", "Error": "OutOfStock", "Cause": "no more"}}
WAIT = {"Wait": {"Type": "Wait", "Seconds": 1000, "End": True}}


def machine(states: dict[str, Any]) -> str:
    return json.dumps({"StartAt": next(iter(states)), "States": states})


def nest(pattern: str = "", **fields: Any) -> dict[str, Any]:
    """Return the states of a machine that runs the one named child."""
    arguments = {"StateMachineArn": f"{PREFIX}child", "Input": {"n": 2}} | fields.pop("arguments", {})
    return {
        "Nest": {"Type": "Task", "Resource": START + pattern, "Parameters": arguments, "End": True} | fields,
        "Caught": {"Type": "Pass", "End": True},
    }


async def create(aws: Aws, name: str, states: dict[str, Any]) -> str:
    created = await aws.call("create_state_machine", name=name, definition=machine(states), roleArn="arn:aws:iam::0:r")
    arn: str = created["stateMachineArn"]
    return arn


async def parent(aws: Aws, states: dict[str, Any], child: dict[str, Any] | None = None) -> None:
    """Start a machine that may run another one."""
    if child is not None:
        await create(aws, "child", child)
    await aws.call("start_execution", stateMachineArn=await create(aws, "parent", states), name="parent")


async def output(aws: Aws) -> Any:
    described = await aws.ended("parent")
    assert described["status"] == "SUCCEEDED", described
    return json.loads(described["output"])


async def failure(aws: Aws) -> tuple[str, str]:
    described = await aws.ended("parent")
    assert described["status"] == "FAILED", described
    return described["error"], described["cause"]


async def test_a_start_returns_the_address_of_the_execution_and_does_not_wait_for_it(aws: Aws) -> None:
    await parent(aws, nest(arguments={"Name": "mine"}), WAIT)
    result = await output(aws)
    child = aws.local.executions["mine"]
    assert result["ExecutionArn"] == child.arn == f"{PREFIX}child:mine".replace("stateMachine", "execution")
    assert result["StartDate"] == round(child.start_date * 1000)
    assert (child.status, child.input) == ("RUNNING", '{"n":2}')
    assert result["SdkHttpMetadata"]["HttpStatusCode"] == 200


@pytest.mark.parametrize(
    ("pattern", "given", "returned"), [(".sync", '{"n":2}', '{"n":4}'), (".sync:2", {"n": 2}, {"n": 4})]
)
async def test_a_task_that_waits_returns_what_describe_execution_does(
    aws: Aws, pattern: str, given: Any, returned: Any
) -> None:
    await parent(aws, nest(pattern, arguments={"Name": "mine"}), DOUBLE)
    result = await output(aws)
    child = aws.local.executions["mine"]
    assert child.stop_date is not None
    assert result == {
        "ExecutionArn": child.arn,
        "Input": given,
        "InputDetails": {"Included": True},
        "Name": "mine",
        "Output": returned,
        "OutputDetails": {"Included": True},
        "RedriveCount": 0,
        "RedriveStatus": "NOT_REDRIVABLE",
        "RedriveStatusReason": "Execution is SUCCEEDED and cannot be redriven.",
        "StartDate": round(child.start_date * 1000),
        "StateMachineArn": f"{PREFIX}child",
        "Status": "SUCCEEDED",
        "StopDate": round(child.stop_date * 1000),
    }


@pytest.mark.parametrize(
    ("arguments", "text"), [({"Input": '{"n": 1.0}'}, '{"n": 1.0}'), ({"Input": None}, "{}"), ({"Input": [1]}, "[1]")]
)
async def test_an_input_may_be_text_or_missing(aws: Aws, arguments: dict[str, Any], text: str) -> None:
    await parent(aws, nest(".sync", arguments=arguments), {"Echo": {"Type": "Pass", "End": True}})
    assert (await output(aws))["Input"] == text


@pytest.mark.parametrize("pattern", [".sync", ".sync:2"])
async def test_a_failure_is_a_failed_task_whose_cause_describes_the_execution(aws: Aws, pattern: str) -> None:
    await parent(aws, nest(pattern, arguments={"Name": "mine"}), FAIL)
    error, cause = await failure(aws)
    described = json.loads(cause)
    assert error == "States.TaskFailed"
    assert list(described) == sorted(described)
    assert (described["Error"], described["Cause"], described["Status"]) == ("OutOfStock", "no more", "FAILED")
    assert (described["Input"], described["Name"]) == ('{"n":2}', "mine")
    assert isinstance(described["StopDate"], int)


async def test_the_error_of_the_other_machine_is_not_that_of_the_task(aws: Aws) -> None:
    catch = [
        {"ErrorEquals": ["OutOfStock"], "Next": "Nest"},
        {"ErrorEquals": ["States.TaskFailed"], "Next": "Caught"},
    ]
    await parent(aws, nest(".sync:2", Catch=catch), FAIL)
    assert (await output(aws))["Error"] == "States.TaskFailed"


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        (
            {"StateMachineArn": f"{PREFIX}gone"},
            "StateMachineDoesNotExistException",
            f"State Machine Does Not Exist: '{PREFIX}gone'",
        ),
        ({"StateMachineArn": "child"}, "InvalidArnException", "Invalid Arn: 'child'"),
        ({"Input": "no JSON"}, "InvalidExecutionInputException", "Invalid State Machine Execution Input: not JSON"),
        ({"Name": "a/b"}, "InvalidNameException", "Invalid Name: 'a/b'"),
    ],
)
async def test_a_start_that_aws_refuses_is_an_error_of_the_task(
    aws: Aws, arguments: dict[str, Any], error: str, reason: str
) -> None:
    await parent(aws, nest(".sync", arguments=arguments), DOUBLE)
    name, cause = await failure(aws)
    assert name == f"StepFunctions.{error}"
    kind = error.removesuffix("Exception")
    expected = rf"{re.escape(reason)} \(Service: AWSStepFunctions; Status Code: 400; Error Code: {kind}; Request ID: .*"
    assert re.fullmatch(expected, cause)


async def test_arguments_that_are_no_object_fail_the_execution(aws: Aws) -> None:
    task = {"Type": "Task", "QueryLanguage": "JSONata", "Resource": START, "Arguments": "{% [1, 2] %}", "End": True}
    await parent(aws, {"Nest": task})
    assert (await failure(aws))[0] == "States.Runtime"


async def test_a_name_that_is_taken_is_an_error_of_the_task(aws: Aws) -> None:
    arn = await create(aws, "child", DOUBLE)
    await aws.call("start_execution", stateMachineArn=arn, name="mine", input='{"n":1}')
    await aws.ended("mine")
    await parent(aws, nest(arguments={"Name": "mine"}))
    assert (await failure(aws))[0] == "StepFunctions.ExecutionAlreadyExistsException"


@pytest.mark.parametrize(("pattern", "status"), [("", "RUNNING"), (".sync", "ABORTED"), (".sync:2", "ABORTED")])
async def test_the_stop_of_an_execution_stops_those_that_it_waits_for(aws: Aws, pattern: str, status: str) -> None:
    states = nest(pattern, arguments={"Name": "mine"}, Next="Stay") | {"Stay": WAIT["Wait"]}
    del states["Nest"]["End"]
    await parent(aws, states, WAIT)
    await until(lambda: "mine" in aws.local.executions)
    arn = aws.local.executions["parent"].arn
    await aws.call("stop_execution", executionArn=arn)
    child = aws.local.executions["mine"]
    await until(lambda: child.status == status)
    if status == "ABORTED":
        assert child.cause == (
            f"The Task state in AWS Step Functions execution [{arn}] which was managing this resource was aborted"
        )


async def test_a_task_that_takes_too_long_stops_the_execution_that_it_waits_for(aws: Aws) -> None:
    await parent(aws, nest(".sync", arguments={"Name": "mine"}, TimeoutSeconds=0.01), WAIT)
    assert (await failure(aws))[0] == "States.Timeout"
    assert aws.local.executions["mine"].status == "ABORTED"


async def test_a_task_with_a_token_waits_for_whoever_has_the_token(aws: Aws) -> None:
    await parent(aws, nest(".waitForTaskToken", arguments={"Name": "mine", "Input": {"t.$": "$$.Task.Token"}}), WAIT)
    await until(lambda: "mine" in aws.local.executions)
    token = json.loads(aws.local.executions["mine"].input)["t"]
    await aws.call("send_task_success", taskToken=token, output='{"done": true}')
    assert await output(aws) == {"done": True}
    assert aws.local.executions["mine"].status == "RUNNING"


async def test_the_history_says_what_was_started_before_it_ends(aws: Aws) -> None:
    await parent(aws, nest(".sync:2", arguments={"Name": "mine"}), DOUBLE)
    await output(aws)
    history = await aws.call("get_execution_history", executionArn=aws.local.executions["parent"].arn)
    events = [event for event in history["events"] if event["type"].startswith("Task")]
    assert [event["type"] for event in events[1:-1]] == [
        "TaskScheduled",
        "TaskStarted",
        "TaskSubmitted",
        "TaskSucceeded",
    ]
    submitted = events[3]["taskSubmittedEventDetails"]
    assert (submitted["resourceType"], submitted["resource"]) == ("states", "startExecution.sync:2")
    assert list(json.loads(submitted["output"])) == ["ExecutionArn", "StartDate"]


async def test_a_read_that_lags_behind_does_not_change_the_result(aws: Aws) -> None:
    aws.local.faults.read_lag_s["DescribeExecution"] = 1000
    await parent(aws, nest(".sync:2"), DOUBLE)
    await until(lambda: aws.local.executions["parent"].status != "RUNNING")
    assert json.loads(aws.local.executions["parent"].output or "")["Output"] == {"n": 4}


async def test_a_mock_answers_in_place_of_the_other_machine(tmp_path: Path) -> None:
    (tmp_path / "machine.json").write_text(machine(nest(".sync:2")))
    cases = {"c": {"Nest": {"Return": {"Output": {"n": 4}}}}}
    (tmp_path / "mocks.json").write_text(json.dumps({"StateMachines": {"m": {"TestCases": cases}}}))
    async with (
        LocalAws(port=0, definition=tmp_path / "machine.json", mocks=tmp_path / "mocks.json") as local,
        aiohttp.ClientSession() as session,
    ):
        aws = Aws(local, session)
        await aws.start("parent")
        assert await output(aws) == {"Output": {"n": 4}}
        await aws.close()


@pytest.mark.parametrize(
    ("task", "fault"),
    [
        ({"Parameters": {"Input": {}}}, "field Parameters.StateMachineArn: is missing"),
        (
            {"Parameters": {"StateMachineArn.$": "$.arn", "Wait": True}},
            "field Parameters.Wait: is not an argument of startExecution",
        ),
        ({}, "field Parameters: is missing"),
    ],
)
async def test_arguments_that_cannot_be_right_are_refused_at_the_start(
    task: dict[str, Any], fault: str, aws: Aws
) -> None:
    states = {"Nest": {"Type": "Task", "Resource": START, "End": True} | task}
    with pytest.raises(DefinitionError) as caught:
        parse(machine(states), aws.local.hosted().tasks)
    assert caught.value.faults == (f"state 'Nest', {fault}",)


async def no_http(_arguments: Any) -> Any:
    raise AssertionError("nothing is to be sent")


def test_where_no_other_machine_can_be_run_the_task_needs_a_mock() -> None:
    with pytest.raises(DefinitionError, match="this state needs a mock"):
        parse(machine(nest(".sync")), Tasks(no_http))

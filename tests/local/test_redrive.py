"""RedriveExecution of the local AWS: from where an execution failed, with the record and the events of its runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from botocore.exceptions import ClientError

from service.local import LocalAws
from service.local.asl.definition import parse
from service.local.asl.interpreter import Interpreter
from service.local.asl.retry import StateError
from service.local.asl.run import TaskCall
from service.local.executions import Executions, NotRedrivableError
from tests.local.asl.running import AnyResource, flow, task
from tests.local.conftest import Aws
from tests.local.test_executions import MACHINE, ended

NAME = "exec-abc-0"
LAMBDA = "arn:aws:states:::lambda:invoke"
FAILS_ONCE = {"0": {"Throw": {"Error": "Broken", "Cause": "at first"}}, "1": {"Return": {"done": True}}}
STATES = {
    "First": {"Type": "Pass", "Assign": {"kept": "{% $states.input.n %}"}, "Output": {"m": 2}, "Next": "Work"},
    "Work": {
        "Type": "Task",
        "Resource": LAMBDA,
        "Output": {
            "input": "{% $states.input %}",
            "kept": "{% $kept %}",
            "redrives": "{% $states.context.Execution.RedriveCount %}",
            "timed": "{% $exists($states.context.Execution.RedriveTime) %}",
        },
        "End": True,
    },
}


@asynccontextmanager
async def failing(folder: Path, response: Any = None) -> AsyncIterator[Aws]:
    """Run a state machine whose task fails at first."""
    definition, mocks = folder / "m.asl.json", folder / "m.mocks.json"
    definition.write_text(json.dumps({"QueryLanguage": "JSONata", "StartAt": "First", "States": STATES}))
    case = {"Case": {"Work": response or FAILS_ONCE}}
    mocks.write_text(json.dumps({"StateMachines": {"event-workflow": {"TestCases": case}}}))
    async with LocalAws(port=0, definition=definition, mocks=mocks) as local, aiohttp.ClientSession() as session:
        aws = Aws(local, session)
        yield aws
        await aws.close()


async def redrive(aws: Aws, name: str = NAME, **more: Any) -> dict[str, Any]:
    return await aws.call("redrive_execution", executionArn=aws.local.executions[name].arn, **more)


async def refused(aws: Aws, **more: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as raised:
        await redrive(aws, **more)
    error = raised.value.response["Error"]
    return error["Code"], error["Message"]


async def test_the_failed_state_runs_again_with_its_input_and_the_variables(tmp_path: Path) -> None:
    async with failing(tmp_path) as aws:
        await aws.start(NAME, {"n": 1})
        failed = await aws.ended(NAME)
        assert (failed["status"], failed["redriveCount"], failed["redriveStatus"]) == ("FAILED", 0, "REDRIVABLE")
        assert "redriveDate" not in failed
        date = (await redrive(aws))["redriveDate"]
        described = await aws.ended(NAME)
        assert json.loads(described["output"]) == {"input": {"m": 2}, "kept": 1, "redrives": 1, "timed": True}
        assert (described["redriveCount"], described["redriveDate"]) == (1, date)
        assert (described["input"], described["startDate"]) == (failed["input"], failed["startDate"])
        assert described["redriveStatusReason"] == "Execution is SUCCEEDED and cannot be redriven."
        assert "error" not in described


async def test_the_history_goes_on_after_the_end_of_the_run_before(tmp_path: Path) -> None:
    async with failing(tmp_path) as aws:
        await aws.start(NAME, {"n": 1})
        await aws.ended(NAME)
        await redrive(aws)
        arn = (await aws.ended(NAME))["executionArn"]
        events = (await aws.call("get_execution_history", executionArn=arn))["events"]
        assert [event["id"] for event in events] == [*range(1, len(events) + 1)]
        kinds = [event["type"] for event in events]
        assert kinds == [
            *("ExecutionStarted", "PassStateEntered", "PassStateExited", "TaskStateEntered"),
            *("TaskScheduled", "TaskStarted", "TaskFailed", "ExecutionFailed", "ExecutionRedriven"),
            *("TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSucceeded", "TaskStateExited"),
            "ExecutionSucceeded",
        ]
        failed, redriven, entered = events[7:10]
        assert failed["executionFailedEventDetails"] == {"error": "Broken", "cause": "at first"}
        assert redriven["executionRedrivenEventDetails"] == {"redriveCount": 1}
        assert [event["previousEventId"] for event in (failed, redriven, entered)] == [7, 8, 9]


async def test_a_redrive_is_idempotent_by_its_client_token_even_after_the_end(tmp_path: Path) -> None:
    async with failing(tmp_path) as aws:
        await aws.start(NAME, {"n": 1})
        await aws.ended(NAME)
        first = await redrive(aws, clientToken="one")
        await aws.ended(NAME)
        assert (await redrive(aws, clientToken="one"))["redriveDate"] == first["redriveDate"]
        reason = "Execution is SUCCEEDED and cannot be redriven."
        assert await refused(aws, clientToken="two") == ("ExecutionNotRedrivable", reason)
        assert aws.local.executions[NAME].redrive_count == 1


async def test_what_runs_or_ended_long_ago_cannot_be_redriven(tmp_path: Path) -> None:
    slow = {"0": {"Return": {}, "DelaySeconds": 60}}
    async with failing(tmp_path, slow) as aws:
        arn = await aws.start(NAME, {"n": 1})
        reason = "Execution is RUNNING and cannot be redriven."
        assert await refused(aws) == ("ExecutionNotRedrivable", reason)
        assert (await aws.call("describe_execution", executionArn=arn))["redriveStatusReason"] == reason
        await aws.call("stop_execution", executionArn=arn)
        execution = aws.local.executions[NAME]
        assert execution.stop_date is not None
        execution.stop_date -= 14 * 24 * 3600 + 1
        assert await refused(aws) == ("ExecutionNotRedrivable", "Execution redrivable period exceeded.")
        execution.stop_date += 24 * 3600
        execution.events *= 10_000
        assert await refused(aws) == ("ExecutionNotRedrivable", "Execution history event limit exceeded.")
        assert (await refused(aws, clientToken="not one"))[0] == "ValidationException"
        aws.local.hosted().kind = "EXPRESS"
        assert (await refused(aws))[0] == "InvalidArn"


async def test_a_read_that_lags_behind_shows_the_run_before(tmp_path: Path) -> None:
    async with failing(tmp_path) as aws:
        arn = await aws.start(NAME, {"n": 1})
        await aws.ended(NAME)
        await redrive(aws)
        await aws.ended(NAME)
        execution = aws.local.executions[NAME]
        assert execution.redrive_date is not None
        assert execution.before is not None
        before = execution.as_of(execution.redrive_date - 0.0001)
        assert before is not None
        assert (before.status, before.error, before.redrive_count) == ("FAILED", "Broken", 0)
        assert [event.kind for event in before.events][-1] == "TaskFailed"
        during = execution.as_of(execution.redrive_date)
        assert during is not None
        assert (during.status, during.output, during.redrive_count) == ("RUNNING", None, 1)
        assert execution.as_of(execution.start_date - 1) is None
        assert (await aws.call("list_executions", stateMachineArn=aws.local.state_machine_arn))["executions"][0] == {
            name: value
            for name, value in (await aws.call("describe_execution", executionArn=arn)).items()
            if name in {"executionArn", "stateMachineArn", "name", "status", "startDate", "stopDate"}
            or name in {"redriveCount", "redriveDate"}
        }


async def test_the_relay_says_after_how_many_redrives_a_run_ended(tmp_path: Path) -> None:
    always = {"0": {"Throw": {"Error": "Broken"}}}
    async with failing(tmp_path, always) as aws:
        socket = await aws.connect()
        await socket.subscribe("ended", "/AsyncEvents/ended/abc/*")
        await aws.start(NAME, {"n": 1})
        await aws.ended(NAME)
        await redrive(aws)
        await aws.ended(NAME)
        events = [json.loads((await socket.receive())["event"]) for _ in range(2)]
        assert events == [{"id": NAME, "status": "FAILED", "error": "Broken", "redrives": n} for n in range(2)]


class Broken:
    """A resource that fails for some arguments, and returns others as they are."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = list(arguments)
        self.calls: list[Any] = []

    async def __call__(self, call: TaskCall) -> Any:
        self.calls.append(call.arguments)
        if call.arguments in self.arguments:
            raise StateError("Broken")
        return call.arguments


def executions(states: dict[str, Any], resource: Any, **top: Any) -> Executions:
    """Keep executions of a JSONPath state machine made of these states."""
    machine = parse(json.dumps({"StartAt": next(iter(states)), "States": states} | top), AnyResource())
    return Executions(machine, MACHINE, Interpreter(resource))


async def failed_and_redriven(store: Executions, data: Any, resource: Broken) -> tuple[list[Any], str]:
    """Let an execution fail and redrive it with a resource that works; return the calls of that, and the output."""
    execution = store.start("e", json.dumps(data))
    await ended(store)
    assert execution.status == "FAILED"
    resource.arguments.clear()
    resource.calls.clear()
    store.redrive("e")
    await ended(store)
    assert (execution.status, execution.redrive_count) == ("SUCCEEDED", 1)
    return resource.calls, execution.output or ""


async def test_of_a_parallel_only_the_branches_that_had_not_ended_run_again() -> None:
    resource = Broken("b2")
    branches = [
        flow(A=task(Parameters="a")),
        flow(B1=task(Parameters="b1", End=False, Next="B2"), B2=task(Parameters="b2")),
        flow(C1=task(Parameters="c1", End=False, Next="C2"), C2={"Type": "Wait", "Seconds": 0.3, "End": True}),
    ]
    store = executions({"P": {"Type": "Parallel", "Branches": branches, "End": True}}, resource)
    assert await failed_and_redriven(store, {}, resource) == (["b2"], '["a","b2","c1"]')
    kinds = [event.kind for event in store.by_name["e"].events]
    assert kinds.count("WaitStateEntered") == 2  # it was cut off by the failure


@pytest.mark.parametrize("mode", ["INLINE", "DISTRIBUTED"])
async def test_of_a_map_only_the_iterations_that_failed_run_again(mode: str) -> None:
    resource = Broken(2)
    processor = {**flow(T=task()), "ProcessorConfig": {"Mode": mode}}
    store = executions({"M": {"Type": "Map", "ItemProcessor": processor, "MaxConcurrency": 1, "End": True}}, resource)
    assert await failed_and_redriven(store, [1, 2, 3], resource) == ([2, 3], "[1,2,3]")


async def test_a_retry_within_a_run_begins_all_branches_again() -> None:
    resource = Broken("b")
    branches = [flow(A=task(Parameters="a")), flow(B=task(Parameters="b"))]
    retry = [{"ErrorEquals": ["Broken"], "IntervalSeconds": 1, "MaxAttempts": 1, "MaxDelaySeconds": 1}]
    state = {"Type": "Parallel", "Branches": branches, "Retry": retry, "End": True}
    store = executions({"P": state}, resource)
    store.start("e", "{}")
    await ended(store)
    assert resource.calls == ["a", "b"] * 2


async def test_too_much_data_makes_a_redrive_begin_all_branches_again() -> None:
    large = "x" * 150_000
    resource = Broken()
    branches = [flow(A=task(Parameters=large)), flow(B=task(Parameters=large))]
    store = executions({"P": {"Type": "Parallel", "Branches": branches, "End": True}}, resource)
    execution = store.start("e", "{}")
    await ended(store)
    assert execution.error == "States.DataLimitExceeded"
    store.redrive("e")
    await ended(store)
    assert len(resource.calls) == 4


async def test_a_fail_state_fails_again() -> None:
    states = {"T": task(Catch=[{"ErrorEquals": ["Broken"], "Next": "F"}]), "F": {"Type": "Fail", "Error": "Caught"}}
    resource = Broken({})
    store = executions(states, resource)
    execution = store.start("e", "{}")
    await ended(store)
    resource.arguments.clear()
    store.redrive("e")
    await ended(store)
    assert (execution.status, execution.error, len(resource.calls)) == ("FAILED", "Caught", 1)


async def test_what_was_stopped_can_be_redriven_at_once_and_has_its_whole_time_again() -> None:
    store = executions({"W": {"Type": "Wait", "Seconds": 0.2, "End": True}}, Broken(), TimeoutSeconds=1)
    execution = store.start("e", "{}")
    await asyncio.sleep(0)
    store.stop("e", None, None)
    store.redrive("e")
    assert store.running == 1
    await ended(store)
    assert execution.status == "SUCCEEDED"


async def test_a_redriven_execution_counts_as_running_until_it_ends_again() -> None:
    resource = Broken({})
    store = executions({"T": task()}, resource)
    store.start("e", "{}")
    await ended(store)
    store.redrive("e")
    assert [item.name for item in store.list_newest("RUNNING", None, 10)] == ["e"]
    await ended(store)
    assert [item.status for item in store.list_newest(None, None, 10)] == ["FAILED"]
    with pytest.raises(KeyError):
        store.redrive("another")
    store.redrive("e", "token")
    with pytest.raises(NotRedrivableError, match="RUNNING"):
        store.redrive("e")
    await ended(store)

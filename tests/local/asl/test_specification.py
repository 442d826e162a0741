"""The state machines of the Amazon States Language specification, as far as no other test has them."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.local.asl.definition import parse
from service.local.asl.interpreter import Interpreter
from service.local.asl.retry import StateError
from service.local.asl.run import Run
from tests.local.asl.running import AnyResource, Resource, flow, run, task
from tests.support.virtual_time import VirtualTimeLoop

DONE = {"Type": "Succeed"}
CHOICE = {
    "Type": "Choice",
    "Choices": [
        {"Not": {"Variable": "$.type", "StringEquals": "Private"}, "Next": "Public"},
        {
            "And": [
                {"Variable": "$.value", "IsPresent": True},
                {"Variable": "$.value", "IsNumeric": True},
                {"Variable": "$.value", "NumericGreaterThanEquals": 20},
                {"Variable": "$.value", "NumericLessThan": 30},
            ],
            "Next": "ValueInTwenties",
        },
        {"Variable": "$.rating", "NumericGreaterThanPath": "$.auditThreshold", "Next": "StartAudit"},
    ],
    "Default": "RecordEvent",
}


def in_virtual_time(states: dict[str, Any], data: Any = None, resource: Any = None) -> tuple[Any, float]:
    """Return the output and how many seconds it took."""
    machine = parse(json.dumps({"StartAt": next(iter(states)), "States": states}), AnyResource())

    async def measured() -> tuple[Any, float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        output = await Interpreter(resource or Resource(None)).run(machine.flow, data, Run())
        return output, loop.time() - began

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(measured())


async def test_hello_world() -> None:
    assert await run({"Hello World": task()}, {"a": 1}, Resource("hello")) == "hello"


@pytest.mark.parametrize(
    ("data", "state"),
    [
        ({"type": "Public", "value": 22}, "Public"),
        ({"type": "Private", "value": 22}, "ValueInTwenties"),
        ({"type": "Private", "value": 33, "rating": 2, "auditThreshold": 1}, "StartAudit"),
        ({"type": "Private", "rating": 1, "auditThreshold": 1}, "RecordEvent"),
    ],
)
async def test_a_choice_dispatches(data: Any, state: str) -> None:
    names = ("Public", "ValueInTwenties", "StartAudit", "RecordEvent")
    ends = {name: {"Type": "Pass", "Result": name, "End": True} for name in names}
    assert await run({"DispatchEvent": CHOICE, **ends}, data) == state


async def test_parallel_branches_get_the_same_input_and_their_outputs_are_a_list() -> None:
    add = flow(Add=task(Resource="add"))
    subtract = flow(Subtract=task(Resource="subtract"))
    sums = {"add": sum, "subtract": lambda numbers: numbers[0] - numbers[1]}

    async def call(invocation: Any) -> Any:
        return sums[invocation.resource](invocation.arguments)

    assert await run({"FunWithMath": {"Type": "Parallel", "Branches": [add, subtract], "End": True}}, [3, 2], call) == [
        5,
        1,
    ]


@pytest.mark.parametrize(
    ("wait", "seconds"),
    [
        ({"Seconds": 10}, 10),
        ({"SecondsPath": "$.seconds"}, 3),
        ({"Timestamp": "2016-03-14T01:59:00Z"}, 0),
        ({"TimestampPath": "$.expirydate"}, 0),
    ],
)
def test_a_wait_takes_seconds_or_until_a_moment(wait: dict[str, Any], seconds: float) -> None:
    data = {"seconds": 3, "expirydate": "2016-03-14T01:59:00Z"}
    output, took = in_virtual_time({"W": {"Type": "Wait", "End": True} | wait}, data)
    assert (output, took) == (data, seconds)


def test_a_wait_until_a_moment_to_come_takes_until_then() -> None:
    at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    _, took = in_virtual_time({"W": {"Type": "Wait", "TimestampPath": "$.at", "End": True}}, {"at": at})
    assert 3500 < took <= 3600


def test_a_retrier_waits_longer_each_time() -> None:
    retry = [{"ErrorEquals": ["States.Timeout"], "IntervalSeconds": 3, "MaxAttempts": 2, "BackoffRate": 1.5}]
    timeout = StateError("States.Timeout")
    assert in_virtual_time({"T": task(Retry=retry)}, 1, Resource(timeout, timeout, "r")) == ("r", 3 + 4.5)


def test_a_complex_retry_scenario() -> None:
    retry = [
        {"ErrorEquals": ["ErrorA", "ErrorB"], "IntervalSeconds": 1, "BackoffRate": 2, "MaxAttempts": 2},
        {"ErrorEquals": ["ErrorC"], "IntervalSeconds": 5},
    ]
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Z"}]
    errors = Resource(*(StateError(f"Error{name}") for name in "ABCB"))
    output, took = in_virtual_time({"X": task(Retry=retry, Catch=catch), "Z": DONE}, 1, errors)
    assert output == {"Error": "ErrorB", "Cause": ""}
    assert took == 1 + 2 + 5


async def test_a_task_sees_how_often_it_was_retried_and_when_it_was_entered() -> None:
    state = task(
        Parameters={"n.$": "$$.State.RetryCount", "at.$": "$$.State.EnteredTime"},
        Retry=[{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 0}],
    )
    resource = Resource(StateError("A"), "r")
    await run({"T": state}, 1, resource)
    assert [arguments["n"] for arguments in resource.arguments] == [0, 1]
    assert abs(datetime.fromisoformat(resource.arguments[0]["at"]) - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"TimeoutSeconds": 300, "HeartbeatSeconds": 60}, (300, 60)),
        ({"TimeoutSecondsPath": "$.params.maxTime", "HeartbeatSecondsPath": "$.params.heartbeat"}, (120, 30)),
    ],
)
async def test_the_times_of_a_task_are_numbers_or_paths(fields: dict[str, Any], seconds: tuple[int, int]) -> None:
    resource = Resource(None)
    await run({"T": task(**fields)}, {"params": {"maxTime": 120, "heartbeat": 30}}, resource)
    assert (resource.calls[0].timeout_s, resource.calls[0].heartbeat_s) == seconds


@pytest.mark.parametrize(
    "name", ["arn:aws:states:::sqs:sendMessage.waitForTaskToken", "arn:aws:states:us-east-1:1:activity:a"]
)
async def test_a_task_that_somebody_else_ends_has_a_token_of_its_own(name: str) -> None:
    resource = Resource(None)
    states = {"A": task(Resource=name, Parameters={"t.$": "$$.Task.Token"}, Next="B", End=False)}
    states["B"] = task(Resource=name, Parameters={"t.$": "$$.Task.Token"})
    await run(states, {}, resource)
    first, second = (call.token for call in resource.calls)
    assert [arguments["t"] for arguments in resource.arguments] == [first, second]
    assert first != second
    assert "" not in {first, second}


async def test_an_execution_that_goes_round_for_ever_is_ended_as_on_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.local.asl.run._MAX_EVENTS", 50)
    states = {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "Next": "A"}}
    execution = Run()
    with pytest.raises(StateError, match="more than 50 events"):
        await run(states, run=execution)
    assert len(execution.events) == 50


async def test_each_event_names_the_one_before_it_in_its_flow() -> None:
    branches = [flow(A={"Type": "Pass", "End": True}), flow(B={"Type": "Pass", "End": True})]
    execution = Run()
    await run({"P": {"Type": "Parallel", "Branches": branches, "End": True}}, 1, run=execution)
    before = [execution.events[event.previous - 1].kind if event.previous else "" for event in execution.events]
    assert [(event.kind, kind) for event, kind in zip(execution.events, before, strict=True)] == [
        ("ParallelStateEntered", ""),
        ("ParallelStateStarted", "ParallelStateEntered"),
        *[("PassStateEntered", "ParallelStateStarted"), ("PassStateExited", "PassStateEntered")] * 2,
        ("ParallelStateSucceeded", "ParallelStateStarted"),
        ("ParallelStateExited", "ParallelStateSucceeded"),
    ]

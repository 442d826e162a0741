from __future__ import annotations

import asyncio
from typing import Any

import pytest

from service.local.asl.retry import StateError
from service.local.asl.run import Run, TaskCall, Trail
from service.local.mocks import Mocks
from service.local.tasks import Tasks
from tests.local.conftest import DEADLINE, until

HTTP = "arn:aws:states:::http:invoke"
LAMBDA = "arn:aws:states:::lambda:invoke.waitForTaskToken"


async def http(arguments: Any) -> Any:
    return {"sent": arguments}


def mocked(**states: Any) -> Tasks:
    return Tasks(http, Mocks({"StateMachines": {"m": {"TestCases": {"c": states, "other": {}}}}}, "m"))


def call(resource: str = LAMBDA, state: str = "S", **fields: Any) -> TaskCall:
    run = fields.pop("run", Run())
    values = {"token": "token", "timeout_s": None, "heartbeat_s": None} | fields
    return TaskCall(state, resource, {"a": 1}, run, trail=Trail(run.events), **values)


async def result(tasks: Tasks, invocation: TaskCall) -> Any:
    async with asyncio.timeout(DEADLINE):
        return await tasks.run(invocation)


async def failure(tasks: Tasks, invocation: TaskCall) -> tuple[str, str]:
    with pytest.raises(StateError) as caught:
        await result(tasks, invocation)
    return caught.value.error, caught.value.cause


async def test_a_mock_answers_each_invocation_of_a_state_in_an_execution() -> None:
    tasks = mocked(S={"0": {"Return": "first"}, "1": {"Throw": {"Error": "E"}}, "2": {"Echo": True}})
    run = Run()
    assert await result(tasks, call(run=run)) == "first"
    assert await failure(tasks, call(run=run)) == ("E", "")
    assert await result(tasks, call(run=run)) == {"a": 1}
    assert await result(tasks, call(run=Run())) == "first"


async def test_http_invoke_is_sent_unless_it_is_mocked() -> None:
    assert await result(Tasks(http), call(HTTP)) == {"sent": {"a": 1}}
    assert await result(mocked(S={"Return": 1}), call(HTTP)) == 1


async def test_a_task_without_a_mock_in_this_test_case_fails_with_its_state_and_resource() -> None:
    run = Run(test_case="other")
    error, cause = await failure(mocked(S={"Return": 1}), call(run=run))
    assert (error, cause) == ("States.Runtime", f"state 'S': no mock for '{LAMBDA}' in this test case")


@pytest.mark.parametrize("resource", [LAMBDA, HTTP])
async def test_a_task_that_takes_longer_than_its_timeout_is_ended(resource: str) -> None:
    tasks = mocked(S={"Return": 1, "DelaySeconds": 1000})
    error, cause = await failure(tasks, call(resource, timeout_s=0.01))
    assert (error, cause) == ("States.Timeout", "state 'S' ran longer than its TimeoutSeconds")


async def test_waiting_for_a_slot_does_not_count_towards_the_timeout() -> None:
    release = asyncio.Event()

    async def slow(arguments: Any) -> Any:
        await release.wait()
        return arguments

    tasks = Tasks(slow, slots=1)
    first = asyncio.create_task(tasks.run(call(HTTP)))
    second = asyncio.create_task(tasks.run(call(HTTP, timeout_s=0.01)))
    await until(tasks._slots.locked)
    await asyncio.sleep(0.05)
    release.set()
    assert [await first, await second] == [{"a": 1}, {"a": 1}]


async def test_a_task_may_wait_for_its_token() -> None:
    tasks = mocked(S={"WaitForTaskToken": True})
    waiting = asyncio.create_task(result(tasks, call()))
    await until(lambda: tasks.tokens._waiting)
    tasks.tokens.succeed("token", {"done": True})
    assert await waiting == {"done": True}
    assert (await failure(tasks, call(token="")))[0] == "States.Runtime"


async def test_the_history_has_every_invocation() -> None:
    run = Run()
    tasks = mocked(S={"0": {"Throw": {"Error": "E", "Cause": "c"}}, "1": {"Return": 1}})
    await failure(tasks, call(run=run))
    await result(tasks, call(run=run))
    kinds = ["TaskScheduled", "TaskStarted", "TaskFailed", "TaskScheduled", "TaskStarted", "TaskSucceeded"]
    assert [event.kind for event in run.events] == kinds
    assert run.events[2].details == {
        "resourceType": "lambda",
        "resource": "invoke.waitForTaskToken",
        "error": "E",
        "cause": "c",
    }


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("arn:aws:states:::aws-sdk:s3:getObject", ("aws-sdk:s3", "getObject")),
        ("arn:aws:states:us-east-1:0:activity:a", ("activity", "a")),
        ("arn:aws:lambda:us-east-1:0:function:f", ("lambda", "arn:aws:lambda:us-east-1:0:function:f")),
        ("${Arn}", ("unknown", "${Arn}")),
    ],
)
async def test_the_history_names_type_and_resource(resource: str, expected: tuple[str, str]) -> None:
    run = Run()
    await result(mocked(S={"Return": 1}), call(resource, run=run))
    details = run.events[0].details
    assert (details["resourceType"], details["resource"]) == expected


def test_the_items_of_a_reader_are_what_the_mock_of_the_map_returns() -> None:
    tasks = mocked(M={"0": {"Return": [1]}, "1": {"Return": [2]}}, N={"Echo": True})
    assert tasks.read_items(Run(), "M") == [1]
    for state, run in (("N", Run()), ("gone", Run()), ("M", Run(test_case="other"))):
        with pytest.raises(StateError, match=r"States\.ItemReaderFailed"):
            tasks.read_items(run, state)

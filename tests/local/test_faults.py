from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError, ReadTimeoutError

from service.local import Faults
from tests.local.conftest import DEADLINE, Aws, Socket, until

EVENT = {"id": "a", "event": '{"nome":"A","sobrenome":"B"}', "reply": {"channel": "AsyncEvents/i/a"}}


async def listening(aws: Aws) -> Socket:
    socket = await aws.connect()
    await socket.subscribe("all", "/AsyncEvents/i/*")
    return socket


async def publish(aws: Aws, *numbers: int) -> None:
    for number in numbers:
        assert (await aws.publish("AsyncEvents/i/a", [str(number)]))[0] == 200


async def received(socket: Socket, count: int) -> list[Any]:
    return [json.loads((await socket.receive())["event"]) for _ in range(count)]


async def code_of(aws: Aws, action: str, **arguments: Any) -> str:
    try:
        await aws.call(action, **arguments)
    except ClientError as error:
        code: str = error.response["Error"]["Code"]
        return code
    return "fine"


async def test_there_are_no_faults_by_default(aws: Aws) -> None:
    socket = await listening(aws)
    await publish(aws, *range(20))
    assert await received(socket, 20) == list(range(20))


async def test_a_muted_event_is_accepted_but_not_delivered(aws: Aws) -> None:
    socket = await listening(aws)
    aws.local.faults.mute.on(times=2)
    await publish(aws, 1, 2, 3)
    assert await received(socket, 1) == [3]
    assert aws.local.faults.mute.triggered == 2


async def test_an_event_can_be_duplicated_and_follow_malformed_ones(aws: Aws) -> None:
    socket = await listening(aws)
    aws.local.faults.duplicate.on(times=1)
    await publish(aws, 1)
    assert await received(socket, 2) == [1, 1]
    aws.local.faults.junk.on(times=1)
    await publish(aws, 2)
    texts: list[str] = []
    while not texts or texts[-1] != "2":
        texts.append((await socket.receive())["event"])
    assert len(texts) > 5


async def test_delayed_events_arrive_out_of_order_and_complete(aws: Aws) -> None:
    socket = await listening(aws)
    aws.local.faults.max_delay_s = 0.1
    aws.local.faults.delay.on()
    await publish(aws, *range(30))
    order = await received(socket, 30)
    assert sorted(order) == list(range(30))
    assert order != sorted(order)
    assert not aws.local.faults._delayed


async def test_a_stop_discards_delayed_events(aws: Aws) -> None:
    await listening(aws)
    aws.local.faults.max_delay_s = 60
    aws.local.faults.delay.on()
    await publish(aws, 1)
    await aws.local.stop()
    assert not aws.local.faults._delayed


async def test_a_number_of_calls_of_an_action_can_be_throttled_or_fail(aws: Aws) -> None:
    arn = await aws.start("a", EVENT)
    faults = aws.local.faults
    faults.throttle.on(times=2, actions={"DescribeExecution"})
    assert await code_of(aws, "list_state_machines") == "fine"
    codes = [await code_of(aws, "describe_execution", executionArn=arn) for _ in range(3)]
    assert codes == ["ThrottlingException", "ThrottlingException", "fine"]
    assert aws.local.throttled["DescribeExecution"] == 2
    faults.fail.on(times=1)
    assert await code_of(aws, "list_state_machines") == "InternalFailure"
    assert await code_of(aws, "list_state_machines") == "fine"


async def test_a_start_without_a_response_still_takes_effect(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.local.step_functions._NO_RESPONSE_TIMEOUT_S", 0.05)
    aws.local.faults.drop_response.on(times=1)
    with pytest.raises((HTTPClientError, ConnectionClosedError, ReadTimeoutError)):
        await aws.start("a", EVENT)
    assert "a" in aws.local.executions
    # A retry of the same start finds it.
    assert (await aws.ended("a"))["status"] == "SUCCEEDED"


async def test_listings_and_records_can_lag_behind(aws: Aws) -> None:
    await aws.start("old", EVENT)
    await aws.ended("old")
    aws.local.executions["old"].start_date -= 60
    machine = aws.local.state_machine_arn

    async def listed() -> dict[str, str]:
        page = await aws.call("list_executions", stateMachineArn=machine)
        return {item["name"]: item["status"] for item in page["executions"]}

    arn = await aws.start("new", EVENT)
    await aws.ended("new")
    assert await listed() == {"new": "SUCCEEDED", "old": "SUCCEEDED"}
    aws.local.faults.read_lag_s["ListExecutions"] = 30
    assert await listed() == {"old": "RUNNING"}
    assert (await aws.call("describe_execution", executionArn=arn))["status"] == "SUCCEEDED"
    aws.local.faults.read_lag_s["DescribeExecution"] = 30
    assert await code_of(aws, "describe_execution", executionArn=arn) == "ExecutionDoesNotExist"
    old = await aws.call("describe_execution", executionArn=aws.local.executions["old"].arn)
    assert old["status"] == "RUNNING"
    assert not {"output", "stopDate"} & set(old)
    aws.local.faults.off()
    assert await listed() == {"new": "SUCCEEDED", "old": "SUCCEEDED"}


def test_the_same_seed_makes_the_same_choices() -> None:
    def choices(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.mute.on(0.5)
        return [faults.mute.triggers() for _ in range(100)]

    assert choices(1) == choices(1)
    assert choices(1) != choices(2)
    assert 20 < Counter(choices(3))[True] < 80


async def test_off_turns_every_fault_off(aws: Aws) -> None:
    faults = aws.local.faults
    for fault in (faults.mute, faults.throttle, faults.fail, faults.drop_response):
        fault.on()
    faults.read_lag_s["DescribeExecution"] = 60
    faults.off()
    assert faults.read_lag_s == {}
    socket = await listening(aws)
    await aws.start("a", EVENT)
    async with asyncio.timeout(DEADLINE):
        assert (await received(socket, 1))[0]["status"] == "SUCCEEDED"
    await until(lambda: aws.local.executions["a"].status == "SUCCEEDED")
    assert time.time() - aws.local.executions["a"].start_date < DEADLINE

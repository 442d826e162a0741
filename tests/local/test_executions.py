from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from service.local.asl.definition import parse
from service.local.asl.interpreter import Interpreter
from service.local.executions import AlreadyExistsError, Executions
from tests.local.conftest import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:m"
ECHO = {"Type": "Succeed", "Output": "{% $states.context.Execution %}"}
SLOW = {"Type": "Wait", "Seconds": 1000, "End": True}
CALL = {"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Arguments": 1, "End": True}


async def nothing(_: Any) -> None:
    return None


def executions(
    state: Any, invoke: Callable[[Any], Awaitable[Any]] = nothing, max_ended: int = 3, **top: Any
) -> Executions:
    text = json.dumps({"QueryLanguage": "JSONata", "StartAt": "S", "States": {"S": state}} | top)
    return Executions(parse(text), MACHINE, Interpreter(invoke), max_ended)


async def ended(store: Executions) -> None:
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*store._tasks.values(), return_exceptions=True)


async def test_an_execution_knows_its_own_name_arn_input_and_start() -> None:
    store = executions(ECHO)
    execution = store.start("e", '{"a":1}')
    await ended(store)
    assert execution.status == "SUCCEEDED"
    context = json.loads(execution.output or "")
    assert (context["Name"], context["Id"], context["Input"]) == ("e", execution.arn, {"a": 1})
    assert execution.arn == MACHINE.replace("stateMachine", "execution") + ":e"
    assert store.running == 0


async def test_all_running_and_only_the_newest_ended_executions_are_kept() -> None:
    store = executions(ECHO)
    for number in range(5):
        store.start(f"e{number}", "{}")
    assert len(store.by_name) == 5
    await ended(store)
    assert list(store.by_name) == ["e2", "e3", "e4"]
    store.start("e0", "{}")
    assert list(store.by_name) == ["e2", "e3", "e4", "e0"]
    await ended(store)


async def test_fewer_executions_are_kept_if_their_data_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.local.executions._MAX_ENDED_CHARS", 1000)
    store = executions({"Type": "Succeed", "Output": 1})
    for number in range(5):
        store.start(f"e{number}", '"' + "x" * 450 + '"')
    await ended(store)
    assert list(store.by_name) == ["e3", "e4"]  # what was dropped no longer counts


async def test_only_the_newest_histories_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.local.executions._MAX_ENDED_EVENTS", 5)
    store = executions(ECHO)
    for number in range(3):
        store.start(f"e{number}", "{}")
        await ended(store)
    assert [len(execution.events) for execution in store.by_name.values()] == [0, 2, 2]
    monkeypatch.setattr("service.local.executions._MAX_ENDED_EVENTS", 1)
    store.start("e3", "{}")
    await ended(store)
    assert [len(execution.events) for execution in store.by_name.values()] == [0, 0, 2]


async def test_the_name_of_a_dropped_execution_can_be_used_again() -> None:
    store = executions(SLOW, max_ended=0)
    store.start("e", "{}")
    store.stop("e", None, None)
    again = store.start("e", "[]")
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(store._tasks[1], return_exceptions=True)
    assert (again.status, store.running) == ("RUNNING", 1)
    await store.close()


async def test_an_execution_that_takes_too_long_times_out() -> None:
    store = executions(SLOW, TimeoutSeconds=0)
    execution = store.start("e", "{}")
    await ended(store)
    assert (execution.status, execution.error) == ("TIMED_OUT", "States.Timeout")


async def test_an_error_of_the_local_aws_itself_fails_the_execution_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(_: Any) -> None:
        raise ZeroDivisionError("a fault")

    store = executions(CALL, broken)
    execution = store.start("e", "{}")
    with caplog.at_level(logging.ERROR):
        await ended(store)
    assert (execution.status, execution.error) == ("FAILED", "States.Runtime")
    assert execution.cause == "ZeroDivisionError in the local AWS"
    assert "a fault" in caplog.text


async def test_a_stopped_execution_stays_aborted() -> None:
    release = asyncio.Event()

    async def stubborn(_: Any) -> int:
        try:
            await release.wait()
        except asyncio.CancelledError:
            return 1
        return 2

    store = executions(CALL, stubborn)
    execution = store.start("e", "{}")
    await asyncio.sleep(0)
    store.stop("e", "Mine", None)
    await ended(store)
    assert (execution.status, execution.error, execution.output) == ("ABORTED", "Mine", None)


async def test_close_cancels_all_running_executions() -> None:
    store = executions(SLOW)
    for number in range(10):
        store.start(f"e{number}", "{}")
    async with asyncio.timeout(DEADLINE):
        await store.close()
    assert store.running == 0


async def test_a_rejected_start_leaves_no_execution() -> None:
    store = executions(SLOW)
    with pytest.raises(ValueError, match="Expecting"):
        store.start("e", "{")
    assert store.by_name == {}
    store.start("e", "{}")
    with pytest.raises(AlreadyExistsError):
        store.start("e", "[]")
    assert store.running == 1
    await store.close()

"""Our Step Functions client against a scripted endpoint: every fault, and the error that it becomes."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from aiohttp import web
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import NoCredentialsError
from structlog.testing import capture_logs

from service.errors import NotRetryable, OutcomeUnknown, Problem, Refused, Throttled, UnknownExecution, Unreachable
from service.stepfunctions.client import MAX_CALLS, StepFunctionsClient
from service.stepfunctions.records import HistoryPage, Page, Started
from service.stepfunctions.retry import ExecutionExists
from tests.support.outcomes import success
from tests.support.step_functions import (
    ARN,
    STARTED,
    Call,
    Script,
    ScriptedStepFunctions,
    described,
    endpoint_at,
    error,
    gated,
    ok,
    reset,
    step_functions_client,
)


async def test_a_start_sends_name_input_and_state_machine(
    endpoint: ScriptedStepFunctions, client: StepFunctionsClient
) -> None:
    endpoint.script("StartExecution", STARTED)
    await client.start("exec-1", '{"a": 1}')
    assert endpoint.calls == [
        ("StartExecution", {"stateMachineArn": ARN.text, "name": "exec-1", "input": '{"a": 1}'}),
    ]


def raw(text: str, status: int = 200) -> Script:
    """Respond with text that Step Functions would not send."""

    async def script(_request: web.Request, _call: Call) -> web.Response:
        return web.Response(text=text, status=status)

    return script


@pytest.mark.parametrize(
    "script",
    [
        reset(),
        error("ServiceUnavailable", 503),
        raw("<html>busy</html>", 503),
        raw("<html>hello</html>"),
        raw("[]"),
        ok(),
    ],
    ids=["reset", "5xx", "5xx html", "html", "array", "empty"],
)
async def test_a_start_without_a_valid_response_has_an_unknown_outcome(
    endpoint: ScriptedStepFunctions, script: object
) -> None:
    endpoint.script("StartExecution", script)  # type: ignore[arg-type]  # parametrize erases the type
    async with step_functions_client(endpoint.url, timeout=0.3) as client:
        with pytest.raises(OutcomeUnknown) as raised:
            await client.start("exec-1", "{}")
    assert raised.value.execution_id == "exec-1"


async def test_an_endpoint_that_hangs_has_an_unknown_outcome_within_the_timeout(
    endpoint: ScriptedStepFunctions,
) -> None:
    endpoint.script("StartExecution", gated(asyncio.Event(), STARTED))
    async with step_functions_client(endpoint.url, timeout=0.5, attempt_timeout=5) as client:
        with pytest.raises(OutcomeUnknown):
            await client.start("exec-1", "{}")


async def test_an_endpoint_without_a_listener_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        async with step_functions_client(f"http://127.0.0.1:{free.getsockname()[1]}", timeout=2) as client:
            with pytest.raises(Unreachable):
                await client.start("exec-1", "{}")


async def test_missing_credentials_are_unreachable_because_nothing_was_sent(endpoint: ScriptedStepFunctions) -> None:
    async def none() -> ReadOnlyCredentials:
        raise NoCredentialsError

    target = endpoint_at(endpoint.url, credentials=none)
    async with StepFunctionsClient(target, ARN, max_starts=1, timeout=2) as client:
        with pytest.raises(Unreachable):
            await client.start("exec-1", "{}")
    assert endpoint.calls == []


async def test_a_name_in_use_raises_execution_exists(
    endpoint: ScriptedStepFunctions, client: StepFunctionsClient
) -> None:
    endpoint.script("StartExecution", error("ExecutionAlreadyExists"))
    with pytest.raises(ExecutionExists):
        await client.start("exec-1", "{}")


async def test_an_execution_that_does_not_exist_is_unknown(
    endpoint: ScriptedStepFunctions, client: StepFunctionsClient
) -> None:
    endpoint.script("DescribeExecution", error("ExecutionDoesNotExist"))
    with pytest.raises(UnknownExecution):
        await client.describe("exec-1")


@pytest.mark.parametrize(
    ("date", "age"),
    [("Fri, 27 Nov 2020 00:00:07 GMT", 7), ("tomorrow", 3), ("Fri, 27 Nov 99999999999999999999 00:00:00 +0100", 3)],
)
async def test_the_age_of_an_execution_is_told_by_the_clock_of_aws_unless_it_sends_none(
    date: str, age: float, endpoint: ScriptedStepFunctions, client: StepFunctionsClient
) -> None:
    started = datetime(2020, 11, 27, tzinfo=UTC).timestamp() if age == 7 else time.time() - age

    async def script(_request: web.Request, _call: Call) -> web.Response:
        return web.json_response({"status": "RUNNING", "startDate": started}, headers={"Date": date})

    endpoint.script("DescribeExecution", script)
    assert (await client.describe("exec-1")).seconds == pytest.approx(age, abs=2)


async def test_a_stop_names_the_execution(endpoint: ScriptedStepFunctions, client: StepFunctionsClient) -> None:
    endpoint.script("StopExecution", ok(stopDate=1.0))
    await client.stop("exec-1")
    assert endpoint.calls[0][1] == {"executionArn": ARN.execution("exec-1")}


async def test_a_redrive_names_the_execution_and_which_one_it_is(
    endpoint: ScriptedStepFunctions, client: StepFunctionsClient
) -> None:
    endpoint.script("RedriveExecution", ok(redriveDate=1.0))
    await client.redrive("exec-1", 3)
    assert endpoint.calls[0][1] == {"executionArn": ARN.execution("exec-1"), "clientToken": "exec-1.3"}


async def test_a_redrive_that_an_earlier_call_made_is_as_old_as_that(
    endpoint: ScriptedStepFunctions, client: StepFunctionsClient
) -> None:
    endpoint.script("RedriveExecution", ok(redriveDate=time.time() - 60))
    assert 55 < await client.redrive("exec-1", 1) < 65


async def test_a_redrive_that_aws_refuses_is_not_retryable(
    endpoint: ScriptedStepFunctions, client: StepFunctionsClient
) -> None:
    endpoint.script("RedriveExecution", error("ExecutionNotRedrivable"))
    with pytest.raises(NotRetryable):
        await client.redrive("exec-1", 1)
    assert endpoint.count("RedriveExecution") == 1


async def test_a_record_shows_how_often_it_was_redriven_and_how_long_it_has_run_since(
    endpoint: ScriptedStepFunctions, client: StepFunctionsClient
) -> None:
    more = {"stopDate": 100.0, "redriveDate": 97.0, "redriveCount": 2, "redriveStatusReason": "Too late."}
    endpoint.script("DescribeExecution", described("FAILED", **more), described("FAILED", stopDate=3.0))
    read = await client.describe("exec-1")
    assert (read.redrives, read.redrive_refusal, read.seconds) == (2, "Too late.", 3.0)
    read = await client.describe("exec-1")
    assert (read.redrives, read.redrive_refusal, read.seconds) == (0, "", 2.0)


async def test_a_listing_can_be_filtered_and_continued(
    endpoint: ScriptedStepFunctions, client: StepFunctionsClient
) -> None:
    item = {"executionArn": "a", "stateMachineArn": ARN.text, "name": "exec-1", "status": "FAILED", "startDate": 1.0}
    endpoint.script("ListExecutions", ok(executions=[item], nextToken="more"), ok(executions=[]))
    first = await client.list("FAILED", limit=1)
    assert first == Page(["exec-1"], "more", 1.0)
    second = await client.list(next_token=first.next_token)
    assert second == Page([], None, math.inf)
    assert endpoint.calls[0][1] == {"stateMachineArn": ARN.text, "maxResults": 1, "statusFilter": "FAILED"}
    assert endpoint.calls[1][1] == {"stateMachineArn": ARN.text, "maxResults": 1000, "nextToken": "more"}


@pytest.mark.parametrize("date", [{}, {"startDate": "1700000000.5"}, {"startDate": None}])
async def test_a_start_whose_date_is_missing_or_no_number_counts_all_the_same(
    endpoint: ScriptedStepFunctions, client: StepFunctionsClient, date: dict[str, object]
) -> None:
    endpoint.script("StartExecution", ok(executionArn="a", **date))
    assert await client.start("exec-1", "{}") == Started(None, 1)
    endpoint.script("ListExecutions", ok(executions=[{"name": "exec-1", **date}]))
    assert await client.list("RUNNING") == Page(["exec-1"], None, math.inf)
    endpoint.script("DescribeExecution", ok(status="RUNNING", **({} if date.get("startDate") is None else date)))
    assert (await client.describe("exec-1")).started_at is None


async def test_the_oldest_start_on_a_page_is_not_that_of_a_redriven_execution(
    endpoint: ScriptedStepFunctions, client: StepFunctionsClient
) -> None:
    starts = [(9.5, 0), (8.5, None), (1.0, 1)]
    items = [{"name": f"exec-{start}", "startDate": start, "redriveCount": redrives} for start, redrives in starts]
    endpoint.script("ListExecutions", ok(executions=items))
    assert await client.list("RUNNING") == Page(["exec-9.5", "exec-8.5", "exec-1.0"], None, 8.5)


async def test_a_history_is_read_newest_first_without_data_and_can_be_continued(
    endpoint: ScriptedStepFunctions, client: StepFunctionsClient
) -> None:
    end = {"id": 5, "type": "ExecutionSucceeded", "timestamp": 1.0, "executionSucceededEventDetails": {}}
    entered = {"id": 4, "type": "TaskStateEntered", "timestamp": 1.0, "stateEnteredEventDetails": {"name": "Price"}}
    redriven = {"id": 3, "type": "ExecutionRedriven", "executionRedrivenEventDetails": {"redriveCount": 2}}
    start = {"id": 1, "type": "ExecutionStarted", "timestamp": 1.0, "executionStartedEventDetails": {}}
    endpoint.script("GetExecutionHistory", ok(events=[end, entered, redriven], nextToken="more"), ok(events=[start]))
    assert await client.history("exec-1", limit=2) == HistoryPage([(4, "Price")], 3, True, "more", redrives=2)
    assert await client.history("exec-1", limit=2, next_token="more") == HistoryPage([], 1, False, None)
    common = {"executionArn": ARN.execution("exec-1"), "includeExecutionData": False, "reverseOrder": True}
    assert endpoint.calls[0][1] == common | {"maxResults": 2}
    assert endpoint.calls[1][1] == common | {"maxResults": 2, "nextToken": "more"}


async def start_in_slot(client: StepFunctionsClient, execution_id: str, timeout: float = 0.0) -> Started:
    async with client.start_slot(timeout) as deadline:
        return await client.start(execution_id, "{}", deadline)


async def test_a_read_does_not_wait_for_starts_that_hang(endpoint: ScriptedStepFunctions) -> None:
    endpoint.script("StartExecution", gated(asyncio.Event(), STARTED))
    endpoint.script("DescribeExecution", described("SUCCEEDED", input="{}", output="1"))
    async with step_functions_client(endpoint.url, max_starts=1, timeout=20, attempt_timeout=20) as client:
        starts = [asyncio.create_task(start_in_slot(client, f"exec-{number}")) for number in range(3)]
        await endpoint.arrived("StartExecution")
        async with asyncio.timeout(10):
            assert (await client.describe("exec-4")).outcome == success(1)
        for start in starts:
            start.cancel()
        await asyncio.wait(starts)


async def test_two_hundred_starts_at_once_do_not_queue_for_a_connection(endpoint: ScriptedStepFunctions) -> None:
    asyncio.get_running_loop().set_debug(False)  # debug mode takes most of the time of 200 tasks
    gate = asyncio.Event()
    endpoint.script("StartExecution", gated(gate, STARTED))
    async with (
        step_functions_client(endpoint.url, timeout=20, attempt_timeout=20) as client,
        asyncio.TaskGroup() as tasks,
    ):
        for number in range(200):
            tasks.create_task(start_in_slot(client, f"exec-{number}"))
        # There was no response yet: all 200 arrive only if none waits for another's connection.
        await endpoint.arrived("StartExecution", 200)
        gate.set()


ACTIONS: dict[str, Callable[[StepFunctionsClient], Awaitable[object]]] = {
    "StartExecution": lambda client: start_in_slot(client, "exec-1"),
    "DescribeExecution": lambda client: client.describe("exec-1"),
    "GetExecutionHistory": lambda client: client.outcome_from_history("exec-1"),
    "ListExecutions": lambda client: client.list(),
    "StopExecution": lambda client: client.stop("exec-1"),
    "RedriveExecution": lambda client: client.redrive("exec-1", 1),
    "DescribeStateMachine": lambda client: client.is_express(),
}


def test_every_action_but_starts_has_slots_of_its_own() -> None:
    assert set(MAX_CALLS) | {"StartExecution"} == set(ACTIONS)


@pytest.mark.parametrize("slow", ACTIONS)
async def test_an_action_that_does_not_respond_leaves_the_slots_of_all_others(
    endpoint: ScriptedStepFunctions, slow: str
) -> None:
    asyncio.get_running_loop().set_debug(False)  # as above
    endpoint.script("StartExecution", STARTED)
    endpoint.script("DescribeExecution", described("RUNNING"))
    endpoint.script("GetExecutionHistory", ok(events=[]))
    endpoint.script("ListExecutions", ok(executions=[]))
    endpoint.script("StopExecution", ok(stopDate=1.0))
    endpoint.script("RedriveExecution", ok(redriveDate=1.0))
    endpoint.script(slow, gated(asyncio.Event(), ok()))
    async with step_functions_client(endpoint.url, max_starts=4, timeout=20, attempt_timeout=20) as client:
        number = MAX_CALLS.get(slow, 4)
        calls = [asyncio.ensure_future(ACTIONS[slow](client)) for _ in range(number + 10)]
        await endpoint.arrived(slow, number)
        async with asyncio.timeout(10):
            for action in ACTIONS.keys() - {slow}:
                await ACTIONS[action](client)
        assert endpoint.count(slow) == number
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_missing_permission_is_named_in_one_warning(
    endpoint: ScriptedStepFunctions, client: StepFunctionsClient, action: str
) -> None:
    endpoint.script(action, error("AccessDeniedException"))
    with capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(Refused):
                await ACTIONS[action](client)
    assert [line for line in logs if line["event"] == "permission_missing"] == [
        {"event": "permission_missing", "log_level": "warning", "action": f"states:{action}"}
    ]


@pytest.mark.parametrize("action", [action for action in ACTIONS if action != "StartExecution"])
async def test_a_throttled_call_other_than_a_start_is_left_to_its_budget(
    endpoint: ScriptedStepFunctions, client: StepFunctionsClient, action: str
) -> None:
    endpoint.script(action, error("ThrottlingException"))
    with pytest.raises(Throttled):
        await ACTIONS[action](client)
    assert endpoint.count(action) == 1
    assert client.throttled == {action: 1}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("address", "host", "how"),
    [
        ("no-such-host.invalid", "no-such-host.invalid", "dns: "),
        ("no-such-host.invalid:4566", "no-such-host.invalid", "dns: "),
        ("127.0.0.1:1", "127.0.0.1", "connect: ConnectionRefusedError"),
    ],
)
async def test_a_host_that_cannot_be_reached_is_named_for_the_log(
    action: str, address: str, host: str, how: str
) -> None:
    async with step_functions_client(f"http://{address}", timeout=2) as client:
        with pytest.raises(Unreachable) as raised:
            await ACTIONS[action](client)
    fields = raised.value.log_fields
    assert fields.pop("aws_error").startswith(how)
    assert fields == {"aws_action": action, "arn": ARN.text, "host": host}


@pytest.mark.parametrize(
    ("action", "call", "repeated"),
    [
        ("StartExecution", lambda client: client.start("a", "{}"), {400, 500}),
        ("StopExecution", lambda client: client.stop("a"), {500}),
        ("RedriveExecution", lambda client: client.redrive("a", 1), {500}),
        ("DescribeExecution", lambda client: client.describe("a"), {500}),
        ("ListExecutions", lambda client: client.list(), {500}),
        ("DescribeExecution", lambda client: client.describe("a", retry=False), set()),
        ("ListExecutions", lambda client: client.list(retry=False), set()),
        ("GetExecutionHistory", lambda client: client.outcome_from_history("a"), set()),
        ("DescribeStateMachine", lambda client: client.is_express(), set()),
    ],
)
@pytest.mark.parametrize(("code", "status"), [("ThrottlingException", 400), ("InternalFailure", 500)])
async def test_only_some_calls_are_repeated(
    action: str, call: Callable[[StepFunctionsClient], Awaitable[object]], repeated: set[int], code: str, status: int
) -> None:
    async with ScriptedStepFunctions() as endpoint, step_functions_client(endpoint.url, timeout=0.2) as client:
        endpoint.script(action, error(code, status))
        with pytest.raises(Problem):
            await call(client)
        assert (endpoint.count(action) > 1) == (status in repeated)

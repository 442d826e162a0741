"""The bridge with our real Step Functions client, a scripted endpoint, and a subscription that a test controls."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.bridge.pending import PendingReplies
from service.bridge.result import Result
from service.errors import (
    AtCapacity,
    Draining,
    OutcomeUnknown,
    Problem,
    Refused,
    Throttled,
    UnknownExecution,
)
from service.stepfunctions import reader
from service.stepfunctions.outcomes import Aborted, Failed
from service.stepfunctions.token_bucket import Quota
from tests.support.outcomes import success
from tests.support.stage import Stage, stage
from tests.support.step_functions import (
    STARTED,
    Script,
    described,
    error,
    gated,
    ok,
    reset,
)
from tests.support.within import within


def replying(made: Stage, output: Any) -> Script:
    """Publish the reply before StartExecution responds."""

    async def script(request: Any, call: Any) -> Any:
        made.reply(call["name"], output)
        return await STARTED(request, call)

    return script


async def leave(submitted: asyncio.Task[Result]) -> None:
    """Do what the server does when a caller leaves."""
    submitted.cancel()
    with pytest.raises(asyncio.CancelledError):
        await submitted


async def test_the_reply_to_an_execution_answers_its_request() -> None:
    async with stage() as made:
        submitted = asyncio.create_task(made.submit('{"a": 1}', 10))
        execution_id = await made.started()
        made.reply(execution_id, {"b": 2})
        assert await submitted == Result(execution_id, success({"b": 2}))
        made.assert_nothing_in_flight()


async def test_a_reply_that_comes_before_the_start_is_answered_is_not_lost() -> None:
    async with stage() as made:
        made.endpoint.script("StartExecution", replying(made, 1))
        assert (await made.submit("{}", 10)).outcome == success(1)


async def test_a_reply_that_is_already_there_is_returned_even_without_a_wait() -> None:
    async with stage() as made:
        made.endpoint.script("StartExecution", replying(made, 1))
        assert (await made.submit("{}", 0)).outcome == success(1)


async def test_a_wait_that_ends_first_answers_without_an_outcome() -> None:
    async with stage() as made:
        assert (await made.submit("{}", 0.05)).outcome is None
        made.assert_nothing_in_flight()


async def test_a_reply_in_the_same_loop_iteration_as_the_deadline_counts() -> None:
    loop = asyncio.get_running_loop()
    replies = PendingReplies()
    deadline = loop.time() + 0.01
    with replies.expect("a", deadline) as waiter:
        loop.call_at(deadline + 0.01, replies.resolve, "a", success(1))
        # Both timers are due when the loop runs again, that of the deadline first.
        loop.call_soon(time.sleep, 0.05)
        assert await waiter.until_deadline() == success(1)


@pytest.mark.parametrize(
    ("script", "problem"),
    [(error("ThrottlingException"), Throttled), (error("AccessDeniedException"), Refused)],
    ids=["throttled", "refused"],
)
async def test_a_start_that_fails_leaves_nothing_behind(script: Script, problem: type[Problem]) -> None:
    async with stage(timeout=2) as made:
        made.endpoint.script("StartExecution", script)
        with pytest.raises(problem):
            await made.submit("{}", 10)
        made.assert_nothing_in_flight()


async def test_an_unconfirmed_start_is_still_answered_by_its_reply() -> None:
    async with stage(timeout=2) as made:
        made.endpoint.script("StartExecution", reset())
        submitted = asyncio.create_task(made.submit("{}", 10))
        made.reply(await made.started(), 1)
        assert (await submitted).outcome == success(1)


async def test_an_unconfirmed_start_returns_its_id_if_the_record_shows_the_execution() -> None:
    async with stage(timeout=2) as made:
        made.endpoint.script("StartExecution", reset())
        made.endpoint.script("DescribeExecution", described("RUNNING"))
        assert (await made.submit("{}", 0.5)).outcome is None


async def test_an_unconfirmed_start_that_the_record_does_not_show_is_a_problem() -> None:
    async with stage(timeout=2) as made:
        made.endpoint.script("StartExecution", reset())
        made.endpoint.script("DescribeExecution", error("ExecutionDoesNotExist"))
        with pytest.raises(OutcomeUnknown):
            await made.submit("{}", 0.5)
        made.assert_nothing_in_flight()


@pytest.mark.parametrize("wait", [0, 10])
async def test_an_execution_that_was_started_here_is_found_although_the_record_lags(
    monkeypatch: pytest.MonkeyPatch, wait: float
) -> None:
    monkeypatch.setattr(reader, "EXISTING_RETRY_DELAYS_S", (0.01,) * 4)
    async with stage() as made:
        accepted = await made.submit("{}", 0)
        behind = [error("ExecutionDoesNotExist")] * 4
        made.endpoint.script("DescribeExecution", *behind, described("SUCCEEDED", output="1"))
        assert (await made.bridge.follow(accepted.execution_id, wait)).outcome == success(1)


async def test_an_unconfirmed_start_is_answered_from_the_record() -> None:
    async with stage(timeout=2) as made:
        made.endpoint.script("StartExecution", reset())
        made.endpoint.script("DescribeExecution", described("SUCCEEDED", output="1"))
        assert (await made.submit("{}", 0.5)).outcome == success(1)


async def test_many_unconfirmed_starts_are_looked_up_within_the_quotas() -> None:
    asyncio.get_running_loop().set_debug(False)  # on a busy machine it slows the calls beyond their timeouts
    few = Quota(2, 1)
    async with stage(timeout=2, max_in_flight=40, quotas={"describe": few, "history": few}) as made:
        made.endpoint.script("StartExecution", gated(asyncio.Event(), STARTED))
        made.endpoint.script("DescribeExecution", described("RUNNING"))
        made.endpoint.script("GetExecutionHistory", ok(events=[{"type": "WaitStateEntered"}]))
        submitted = [asyncio.create_task(made.submit("{}", 0.5)) for _ in range(40)]
        answers = await asyncio.gather(*submitted, return_exceptions=True)
        read = made.endpoint.count("DescribeExecution") + made.endpoint.count("GetExecutionHistory")
        handed_out = [answer for answer in answers if isinstance(answer, Result)]
        assert 0 < len(handed_out) <= read < 30
        assert {type(answer) for answer in answers} == {Result, OutcomeUnknown}


async def test_an_id_that_exists_already_is_our_own_earlier_attempt() -> None:
    async with stage() as made:
        made.endpoint.script("StartExecution", reset(), error("ExecutionAlreadyExists"))
        submitted = asyncio.create_task(made.submit("{}", 10))
        made.reply(await made.started(2), 1)
        assert (await submitted).outcome == success(1)


async def test_a_caller_that_leaves_while_waiting_frees_its_slot_and_keeps_the_execution() -> None:
    async with stage() as made:
        submitted = asyncio.create_task(made.submit("{}", 10))
        await made.started()
        while not made.endpoint.calls or len(made.replies) == 0:  # noqa: ASYNC110 - ends with the test's time limit
            await asyncio.sleep(0)
        await leave(submitted)
        await made.bridge.aclose()
        made.assert_nothing_in_flight()
        assert made.endpoint.count("StopExecution") == 0


async def test_a_caller_that_leaves_during_the_start_still_has_its_execution_started() -> None:
    async with stage() as made:
        made.endpoint.script("StartExecution", gated(asyncio.Event(), STARTED), STARTED)
        submitted = asyncio.create_task(made.submit("{}", 10))
        execution_id = await made.started()
        await leave(submitted)
        assert await made.started(2) == execution_id
        await made.bridges.drain(10)
        made.assert_nothing_in_flight()


async def test_work_for_callers_that_left_counts_as_in_flight() -> None:
    async with stage(max_in_flight=1) as made:
        gate = asyncio.Event()
        made.endpoint.script("StartExecution", gated(gate, STARTED))
        submitted = asyncio.create_task(made.submit("{}", 10))
        await made.started()
        await leave(submitted)
        await made.started(2)
        with pytest.raises(AtCapacity):
            await made.submit("{}", 10)
        gate.set()
        await made.bridges.drain(10)
        made.assert_nothing_in_flight()


async def test_a_caller_that_leaves_before_getting_a_slot_has_nothing_started() -> None:
    async with stage(max_starts=1) as made:
        gate, first, execution_id, second = await made.one_started_and_one_waiting()
        await leave(second)
        gate.set()
        made.reply(execution_id)
        await first
        await made.bridges.drain(10)
        assert made.endpoint.count("StartExecution") == 1
        made.assert_nothing_in_flight()


async def test_a_release_during_the_start_returns_the_id_that_the_execution_may_have() -> None:
    async with stage() as made:
        made.endpoint.script("StartExecution", gated(asyncio.Event(), STARTED))
        submitted = asyncio.create_task(made.submit("{}", 10))
        execution_id = await made.started()
        made.bridges.release()
        with pytest.raises(OutcomeUnknown) as raised:
            await submitted
        assert raised.value.execution_id == execution_id
        assert submitted.cancelling() == 0  # the server can still await the response's writing
        made.assert_nothing_in_flight()


async def test_a_release_reads_nothing_more() -> None:
    async with stage(timeout=1) as made:
        made.endpoint.script("StartExecution", reset())
        submitted = asyncio.create_task(made.submit("{}", 30))
        async with asyncio.timeout(20):
            while made.admission._cancellable or not made.endpoint.calls:  # noqa: ASYNC110 - until the start has timed out
                await asyncio.sleep(0.01)
        made.bridges.release()
        with pytest.raises(OutcomeUnknown):
            await submitted
        assert made.endpoint.count("DescribeExecution") == 0


async def test_a_release_while_waiting_for_the_link_says_that_nothing_was_started() -> None:
    async with stage() as made:
        made.channel.go_down()
        submitted = asyncio.create_task(made.submit("{}", 10))
        await asyncio.sleep(0)
        made.bridges.release()
        with pytest.raises(Draining):
            await submitted
        made.assert_nothing_in_flight()


async def test_a_release_cancels_the_work_for_callers_that_left() -> None:
    async with stage() as made:
        made.endpoint.script("StartExecution", gated(asyncio.Event(), STARTED))
        submitted = asyncio.create_task(made.submit("{}", 10))
        await made.started()
        await leave(submitted)
        await made.started(2)
        made.bridges.release()
        await made.bridge.aclose()
        made.assert_nothing_in_flight()


async def test_a_start_without_a_response_ends_within_the_wait() -> None:
    async with stage(timeout=1) as made:
        made.endpoint.script("StartExecution", gated(asyncio.Event(), STARTED))
        made.endpoint.script("DescribeExecution", gated(asyncio.Event(), STARTED))
        # One second for the start, then the wait for the reply, then two seconds to check whether the execution exists.
        async with within(4.5):
            with pytest.raises(OutcomeUnknown) as raised:
                await made.submit("{}", 4)
        assert raised.value.execution_id == await made.started()


async def test_the_execution_of_a_caller_that_leaves_is_stopped_if_configured() -> None:
    async with stage(stop_abandoned=True) as made:
        made.endpoint.script("StopExecution", ok(stopDate=1.0))
        submitted = asyncio.create_task(made.submit("{}", 10))
        await made.started()
        await leave(submitted)
        await made.bridge.aclose()
        assert made.endpoint.count("StopExecution") == 1


async def test_an_abandoned_execution_that_cannot_be_stopped_is_only_logged() -> None:
    async with stage(stop_abandoned=True) as made:
        made.endpoint.script("StopExecution", error("AccessDeniedException"))
        submitted = asyncio.create_task(made.submit("{}", 10))
        execution_id = await made.started()
        with capture_logs() as logs:
            await leave(submitted)
            await made.bridge.aclose()
        assert made.endpoint.count("StopExecution") == 1
        unresolved = [line for line in logs if line["event"] == "abandoned_execution_unresolved"]
        assert [(line["execution_id"], line["problem"]) for line in unresolved] == [(execution_id, "refused")]


async def test_a_reply_at_the_moment_the_caller_leaves_leaves_nothing_behind() -> None:
    async with stage() as made:
        submitted = asyncio.create_task(made.submit("{}", 10))
        made.endpoint.script("StartExecution", STARTED)
        execution_id = await made.started()
        made.reply(execution_id)
        submitted.cancel()
        await asyncio.wait([submitted], timeout=5)
        assert submitted.done()
        await made.bridges.drain(10)
        made.assert_nothing_in_flight()


async def test_only_executions_that_succeed_show_how_long_the_next_one_will_take() -> None:
    async with stage() as made:
        submitted = asyncio.create_task(made.submit("{}", 10))
        execution_id = await made.started()
        await asyncio.wait([submitted], timeout=0.1)
        made.replies.deliver(json.dumps({"id": execution_id, "status": "FAILED", "error": "Broken"}))
        assert ((await submitted).workflow or 0) > 0
        made.endpoint.script("DescribeExecution", described("FAILED", error="Broken", stopDate=11.0))
        await made.bridge.follow("exec-1", 0)
        assert made.bridge.durations.typical_seconds == 0
        made.endpoint.script("DescribeExecution", described("SUCCEEDED", output="1", stopDate=11.0))
        await made.bridge.follow("exec-1", 0)
        assert made.bridge.durations.typical_seconds == 10


async def test_a_later_read_is_answered_from_the_record() -> None:
    async with stage() as made:
        made.endpoint.script("DescribeExecution", described("FAILED", error="Broken"))
        assert await made.bridge.follow("exec-1", 0) == Result("exec-1", Failed("Broken"))


async def test_an_unknown_execution_cannot_be_read_or_stopped() -> None:
    async with stage() as made:
        for action in ("DescribeExecution", "StopExecution"):
            made.endpoint.script(action, error("ExecutionDoesNotExist"))
        with pytest.raises(UnknownExecution):
            await made.bridge.follow("exec-1", 0)
        with pytest.raises(UnknownExecution):
            await made.bridge.stop("exec-1")


async def test_a_stop_answers_waiting_requests_at_once() -> None:
    async with stage() as made:
        made.endpoint.script("StopExecution", ok(stopDate=1.0))
        made.endpoint.script("DescribeExecution", described("ABORTED"))
        submitted = asyncio.create_task(made.submit("{}", 10))
        await made.bridge.stop(await made.started())
        async with within(3):
            assert (await submitted).outcome == Aborted()


async def test_a_stop_that_the_record_shows_late_answers_waiting_requests_late() -> None:
    async with stage() as made:
        made.endpoint.script("StopExecution", ok(stopDate=1.0))
        made.endpoint.script(
            "DescribeExecution", described("RUNNING"), error("AccessDeniedException"), described("ABORTED")
        )
        made.endpoint.script("GetExecutionHistory", error("AccessDeniedException"))
        submitted = asyncio.create_task(made.submit("{}", 10))
        await made.bridge.stop(await made.started())
        async with within(3):
            assert (await submitted).outcome == Aborted()


async def test_a_stop_that_the_record_never_shows_leaves_the_waiter_waiting() -> None:
    async with stage() as made:
        made.endpoint.script("StopExecution", ok(stopDate=1.0))
        made.endpoint.script("DescribeExecution", described("RUNNING"))
        submitted = asyncio.create_task(made.submit("{}", 10))
        execution_id = await made.started()
        await made.bridge.stop(execution_id)
        await made.endpoint.arrived("DescribeExecution", 3)
        made.reply(execution_id, 1)
        assert (await submitted).outcome == success(1)


async def test_a_stop_without_a_waiting_request_reads_no_record() -> None:
    async with stage() as made:
        made.endpoint.script("StopExecution", ok(stopDate=1.0))
        await made.bridge.stop("exec-1")
        await made.bridge.aclose()
        assert made.endpoint.count("DescribeExecution") == 0


def test_results_that_differ_only_in_their_durations_and_attempts_are_equal() -> None:
    assert Result("a", None, start=1, workflow=2, waited=3, remaining=4, start_attempts=5) == Result("a", None)
    assert Result("a", None) != Result("b", None)


async def test_a_wait_that_ends_first_tells_the_attempts_of_the_start_as_well() -> None:
    async with stage() as made:
        made.endpoint.script("StartExecution", error("ThrottlingException"), STARTED)
        made.endpoint.script("DescribeExecution", described("RUNNING"))
        result = await made.submit("{}", 1.0)
        assert (result.outcome, result.start_attempts) == (None, 2)

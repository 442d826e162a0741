"""Retries on the stage: which end counts as that of the new run, and what AWS is asked."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from service.bridge.envelope import EventMode
from service.bridge.result import Result
from service.errors import (
    AtCapacity,
    CallerShareExceeded,
    Draining,
    LinkDown,
    NotRetryable,
    OutcomeUnknown,
    Problem,
    Refused,
    Throttled,
    UnknownExecution,
)
from service.stepfunctions.outcomes import Aborted, Failed
from tests.support.outcomes import success
from tests.support.shared_execution import ID, input_of, subscribed, until
from tests.support.stage import Stage, stage
from tests.support.step_functions import Script, described, error, gated, ok, reset
from tests.support.within import within

OWN = f"ns/me/{ID}"
REDRIVEN = ok(redriveDate=2.0**33)  # not before the call
NOT_REDRIVABLE = error("ExecutionNotRedrivable")


def record(status: str, redrives: int = 0, channel: str = OWN, **more: Any) -> Script:
    """Respond with the record of an execution that this service started."""
    return described(status, input=input_of(channel=channel), redriveCount=redrives, **more)


FAILED = record("FAILED", error="Broken")


def retry(made: Stage, wait: float = 20, **options: Any) -> asyncio.Task[Result]:
    return asyncio.create_task(made.retries.retry(ID, wait, **options))


async def redriven(made: Stage, wait: float = 20, **options: Any) -> asyncio.Task[Result]:
    """Begin a retry, and wait until the execution runs again."""
    started: list[str] = []
    task = retry(made, wait, on_start=started.append, **options)
    await until(lambda: started)
    return task


def deliver(made: Stage, status: str, **members: Any) -> None:
    made.replies.deliver(json.dumps({"id": ID, "status": status} | members))


def tokens(made: Stage) -> list[str]:
    return [call["clientToken"] for action, call in made.endpoint.calls if action == "RedriveExecution"]


async def test_a_failed_execution_runs_again_and_the_relay_reports_its_end() -> None:
    async with stage(input_mode=EventMode()) as made:
        made.endpoint.script("DescribeExecution", record("FAILED", 2, error="Broken"))
        made.endpoint.script("RedriveExecution", REDRIVEN)
        task = await redriven(made)
        deliver(made, "SUCCEEDED", outputText="1", redrives=3)
        result = await task
        assert result.outcome == success(1)
        assert result.start is not None
        assert result.workflow == result.waited
        assert tokens(made) == [f"{ID}.3"]
        made.assert_nothing_in_flight()


async def test_a_late_report_of_the_run_before_changes_nothing() -> None:
    async with stage() as made:
        made.endpoint.script("DescribeExecution", FAILED)
        made.endpoint.script("RedriveExecution", REDRIVEN)
        task = await redriven(made)
        for status in ("FAILED", "TIMED_OUT", "ABORTED", "SUCCEEDED"):
            deliver(made, status, redrives=0)
        assert made.replies.late == 4
        deliver(made, "ABORTED", redrives=1)
        assert (await task).outcome == Aborted()
        assert made.endpoint.count("DescribeExecution") == 1


async def test_a_report_that_comes_while_aws_is_asked_is_that_of_the_run_before() -> None:
    gate = asyncio.Event()
    async with stage() as made:
        made.endpoint.script("DescribeExecution", FAILED)
        made.endpoint.script("RedriveExecution", gated(gate, REDRIVEN))
        task = retry(made)
        await made.endpoint.arrived("RedriveExecution")
        deliver(made, "FAILED", error="Broken", redrives=0)
        gate.set()
        await until(lambda: made.replies.redrives(ID))
        deliver(made, "FAILED", error="Again", redrives=1)
        assert (await task).outcome == Failed("Again")


@pytest.mark.parametrize("members", [{"output": 1}, {}], ids=["with a result", "without a result"])
async def test_a_reply_that_does_not_name_its_run_is_checked_against_the_record(members: dict[str, Any]) -> None:
    """The run before may have replied, too: a workflow publishes before its last state ends, and then may fail."""
    async with stage() as made:
        made.endpoint.script("RedriveExecution", REDRIVEN)
        made.endpoint.script(
            "DescribeExecution", FAILED, FAILED, record("RUNNING", 1), record("SUCCEEDED", 1, output="2")
        )
        task = await redriven(made)
        deliver(made, "SUCCEEDED", **members)
        async with within(5):
            assert (await task).outcome == success(2)
        assert made.endpoint.count("GetExecutionHistory") == 0  # it does not say how often it was redriven
        assert made.replies.announced == 1


async def test_a_reply_of_the_run_before_costs_a_few_reads_at_most() -> None:
    async with stage() as made:
        made.endpoint.script("RedriveExecution", REDRIVEN)
        made.endpoint.script("DescribeExecution", FAILED, record("RUNNING", 1))
        task = await redriven(made, 4)
        deliver(made, "SUCCEEDED", output=1)
        assert (await task).outcome is None
        assert 2 <= made.endpoint.count("DescribeExecution") <= 8


async def test_a_record_that_lags_behind_is_not_the_end_of_the_new_run() -> None:
    async with stage() as made:
        made.endpoint.script("RedriveExecution", REDRIVEN)
        made.endpoint.script("DescribeExecution", FAILED, FAILED, FAILED, record("SUCCEEDED", 1, output="1"))
        task = await redriven(made)
        made.recovery.lookup_ended(ID)
        async with within(5):
            assert (await task).outcome == success(1)


async def test_the_end_of_a_run_that_a_lagging_record_did_not_show_is_read_soon() -> None:
    async with stage() as made:
        earlier = ok(redriveDate=2.0)
        made.endpoint.script("RedriveExecution", earlier)
        made.endpoint.script("DescribeExecution", FAILED, record("FAILED", 1, error="Again"))
        async with within(5):
            assert (await retry(made)).outcome == Failed("Again")
        assert tokens(made) == [f"{ID}.1"]


async def test_the_channel_of_another_instance_is_heard_before_aws_is_asked() -> None:
    async with stage() as made:
        made.endpoint.script("DescribeExecution", record("FAILED", channel=f"ns/other/{ID}"))
        made.endpoint.script("RedriveExecution", REDRIVEN)
        task = retry(made)
        channel = await subscribed(made)
        await asyncio.sleep(0.05)
        assert tokens(made) == []
        channel.come_up()
        await made.endpoint.arrived("RedriveExecution")
        deliver(made, "FAILED", error="Again", redrives=1)
        assert (await task).outcome == Failed("Again")
        await until(lambda: channel.ended)


async def test_the_record_is_polled_if_the_channel_of_another_instance_is_refused() -> None:
    async with stage() as made:
        other = f"ns/other/{ID}"
        made.endpoint.script("RedriveExecution", REDRIVEN)
        made.endpoint.script("DescribeExecution", record("FAILED", channel=other))
        task = retry(made)
        (await subscribed(made)).refuse()
        await made.endpoint.arrived("RedriveExecution")
        made.endpoint.script("DescribeExecution", record("SUCCEEDED", 1, channel=other, output="1"))
        async with within(8):
            assert (await task).outcome == success(1)


async def test_the_record_is_polled_if_it_withholds_the_input() -> None:
    async with stage() as made:
        made.endpoint.script("RedriveExecution", REDRIVEN)
        made.endpoint.script(
            "DescribeExecution", described("FAILED"), described("SUCCEEDED", redriveCount=1, output="1")
        )
        async with within(8):
            assert (await (await redriven(made))).outcome == success(1)


async def test_without_the_link_nothing_is_retried() -> None:
    async with stage() as made:
        made.channel.go_down(since=60)
        made.endpoint.script("DescribeExecution", FAILED)
        with pytest.raises(LinkDown):
            await retry(made)
        assert tokens(made) == []
        made.assert_nothing_in_flight()


async def test_an_execution_that_runs_is_joined() -> None:
    async with stage() as made:
        made.endpoint.script("DescribeExecution", record("RUNNING", 1))
        task = await redriven(made)
        deliver(made, "FAILED", error="Before", redrives=0)
        deliver(made, "FAILED", error="Again", redrives=1)
        assert (await task).outcome == Failed("Again")
        assert tokens(made) == []
        made.assert_nothing_in_flight()


async def test_an_execution_that_another_request_has_just_retried_is_joined() -> None:
    async with stage() as made:
        made.endpoint.script("DescribeExecution", FAILED, FAILED, record("RUNNING", 1))
        made.endpoint.script("RedriveExecution", NOT_REDRIVABLE)
        task = await redriven(made)
        deliver(made, "ABORTED", redrives=1)
        assert (await task).outcome == Aborted()


async def test_two_retries_of_one_failure_ask_for_the_same_run() -> None:
    async with stage() as made:
        made.endpoint.script("DescribeExecution", FAILED)
        made.endpoint.script("RedriveExecution", REDRIVEN)
        tasks = [retry(made) for _ in range(2)]
        await made.endpoint.arrived("RedriveExecution", 2)
        assert tokens(made) == [f"{ID}.1"] * 2
        await until(lambda: made.replies.redrives(ID))
        deliver(made, "ABORTED", redrives=1)
        assert {result.outcome for result in await asyncio.gather(*tasks)} == {Aborted()}


async def test_a_retry_after_a_lost_response_asks_for_the_same_run() -> None:
    async with stage(timeout=8) as made:
        made.endpoint.script("DescribeExecution", FAILED)
        made.endpoint.script("RedriveExecution", reset(), reset(), REDRIVEN)
        task = await redriven(made)
        deliver(made, "ABORTED", redrives=1)
        assert (await task).outcome == Aborted()
        assert tokens(made) == [f"{ID}.1"] * 3


@pytest.mark.parametrize(
    ("read", "answer", "problem"),
    [
        (record("SUCCEEDED", output="1"), REDRIVEN, NotRetryable),
        (error("ExecutionDoesNotExist"), REDRIVEN, UnknownExecution),
        (FAILED, error("ExecutionDoesNotExist"), UnknownExecution),
        (FAILED, error("ExecutionLimitExceeded"), Throttled),
        (FAILED, error("ThrottlingException"), Throttled),
        (FAILED, error("AccessDeniedException"), Refused),
        (FAILED, error("InternalFailure", 500), OutcomeUnknown),
        (FAILED, NOT_REDRIVABLE, NotRetryable),
    ],
    ids=["succeeded", "unknown", "gone", "too many", "throttled", "forbidden", "unanswered", "refused"],
)
async def test_a_retry_that_is_not_carried_out_is_a_problem(
    read: Script, answer: Script, problem: type[Problem]
) -> None:
    async with stage(timeout=4) as made:
        made.endpoint.script("DescribeExecution", read)
        made.endpoint.script("RedriveExecution", answer)
        with pytest.raises(problem) as raised:
            await retry(made)
        assert raised.value.execution_id == ID
        assert made.replies.redrives(ID) == 0
        made.assert_nothing_in_flight()


async def test_a_refusal_has_the_reason_that_aws_gives() -> None:
    async with stage() as made:
        reason = "Execution redrivable period exceeded."
        made.endpoint.script("DescribeExecution", FAILED, FAILED, record("FAILED", redriveStatusReason=reason))
        made.endpoint.script("RedriveExecution", NOT_REDRIVABLE)
        with pytest.raises(NotRetryable) as raised:
            await retry(made)
        assert raised.value.detail == f"Step Functions refused: {reason}"


async def test_nothing_is_asked_about_executions_of_an_express_machine() -> None:
    async with stage() as made:
        made.record.kept = False
        with pytest.raises(NotRetryable, match="EXPRESS"):
            await retry(made)
        assert made.endpoint.calls == []


async def test_without_a_wait_the_execution_runs_again_all_the_same() -> None:
    async with stage() as made:
        made.endpoint.script("DescribeExecution", FAILED)
        made.endpoint.script("RedriveExecution", REDRIVEN)
        result = await retry(made, 0)
        assert (result.outcome, len(tokens(made))) == (None, 1)


async def test_an_instance_that_knows_of_a_later_run_does_not_believe_the_record_at_once() -> None:
    async with stage() as made:
        made.replies.redriven(ID, 1)
        made.endpoint.script("DescribeExecution", FAILED, record("FAILED", 1))
        made.endpoint.script("RedriveExecution", REDRIVEN)
        task = await redriven(made)
        assert tokens(made) == [f"{ID}.2"]
        task.cancel()


async def test_retries_count_among_the_requests_in_flight() -> None:
    async with stage(max_in_flight=2, caller_limit=1) as made:
        made.endpoint.script("DescribeExecution", FAILED)
        made.endpoint.script("RedriveExecution", REDRIVEN)
        tasks = [await redriven(made, caller="a")]
        with pytest.raises(CallerShareExceeded):
            await retry(made, caller="a")
        tasks.append(await redriven(made, caller="b"))
        with pytest.raises(AtCapacity):
            await retry(made, caller="c")
        deliver(made, "ABORTED", redrives=1)
        await asyncio.gather(*tasks)
        made.assert_nothing_in_flight()


async def test_a_shutdown_ends_a_retry_and_says_whether_aws_was_asked() -> None:
    async with stage() as made:
        made.endpoint.script("DescribeExecution", record("FAILED", channel=f"ns/other/{ID}"))
        made.endpoint.script("RedriveExecution", gated(asyncio.Event(), REDRIVEN))
        waiting = retry(made)
        await subscribed(made)
        made.bridges.release()
        with pytest.raises(Draining):
            await waiting
    async with stage() as made:
        made.endpoint.script("DescribeExecution", FAILED)
        made.endpoint.script("RedriveExecution", gated(asyncio.Event(), REDRIVEN))
        waiting = retry(made)
        await made.endpoint.arrived("RedriveExecution")
        made.bridges.release()
        with pytest.raises(OutcomeUnknown):
            await waiting
        made.assert_nothing_in_flight()


async def test_a_caller_that_leaves_frees_its_place() -> None:
    async with stage(stop_abandoned=True) as made:
        made.endpoint.script("DescribeExecution", FAILED)
        made.endpoint.script("RedriveExecution", REDRIVEN)
        task = await redriven(made)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        made.assert_nothing_in_flight()
        assert made.endpoint.count("StopExecution") == 0  # others may wait for it


async def test_a_read_right_after_a_retry_does_not_show_the_run_before() -> None:
    async with stage() as made:
        made.endpoint.script("DescribeExecution", FAILED)
        made.endpoint.script("RedriveExecution", REDRIVEN)
        await retry(made, 0)
        assert (await made.bridge.follow(ID, 0)).outcome is None
        waiting = asyncio.create_task(made.bridge.follow(ID, 20))
        await made.endpoint.arrived("DescribeExecution", 3)
        deliver(made, "FAILED", error="Broken", redrives=0)
        deliver(made, "SUCCEEDED", outputText="1", redrives=1)
        assert (await waiting).outcome == success(1)


async def test_a_read_of_what_another_instance_has_retried_waits_for_the_new_run() -> None:
    gate = asyncio.Event()
    async with stage() as made:
        made.endpoint.script("DescribeExecution", gated(gate, record("RUNNING", 1)), record("RUNNING", 1))
        waiting = asyncio.create_task(made.bridge.follow(ID, 20))
        await made.endpoint.arrived("DescribeExecution")
        deliver(made, "FAILED", error="Broken", redrives=0)  # before the record shows that it runs again
        gate.set()
        await until(lambda: made.replies.redrives(ID))
        deliver(made, "FAILED", error="Again", redrives=1)
        assert (await waiting).outcome == Failed("Again")
        made.assert_nothing_in_flight()


async def test_a_stopped_run_is_reported_by_the_record_of_that_run() -> None:
    async with stage() as made:
        made.endpoint.script("DescribeExecution", FAILED, FAILED, record("ABORTED", 1))
        made.endpoint.script("RedriveExecution", REDRIVEN)
        made.endpoint.script("StopExecution", ok(stopDate=3.0))
        task = await redriven(made)
        await made.bridge.stop(ID)
        async with within(5):
            assert (await task).outcome == Aborted()

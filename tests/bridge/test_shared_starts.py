"""Requests that share an execution: by an idempotency key, or by waiting for one that another instance started."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

import pytest
from aiohttp import web

from service.bridge import recovery as recovery_module
from service.bridge import shared_starts
from service.bridge.result import Result
from service.errors import (
    Draining,
    IdempotencyConflict,
    IdempotencyKeyReused,
    LinkDown,
    OutcomeUnknown,
    Refused,
    Throttled,
    UnknownExecution,
)
from service.stepfunctions import reader as record_module
from service.stepfunctions.outcomes import Failed
from tests.support.outcomes import success
from tests.support.shared_execution import EXISTS, ID, input_of, submit, subscribed, until
from tests.support.stage import Stage, stage
from tests.support.step_functions import STARTED, Call, Script, described, error, gated
from tests.support.within import within


def started(made: Stage) -> bool:
    return any(shared.start.done for shared in made.bridge._shared_starts._starts.values())


async def test_duplicates_at_one_instance_share_one_start_and_one_answer() -> None:
    async with stage(max_in_flight=300) as made:
        gate = asyncio.Event()
        made.endpoint.script("StartExecution", gated(gate, STARTED))
        first = [submit(made) for _ in range(100)]
        assert await made.started() == ID
        gate.set()
        second = [submit(made) for _ in range(100)]
        await until(lambda: made.admission.in_flight == 200)
        made.reply(ID, 1)
        assert set(await asyncio.gather(*first, *second)) == {Result(ID, success(1))}
        assert made.endpoint.count("StartExecution") == 1
        made.assert_nothing_in_flight()
        assert len(made.bridge._shared_starts) == 0


async def test_only_the_request_that_called_step_functions_reports_the_attempts() -> None:
    async with stage() as made:
        posts = [submit(made) for _ in range(3)]
        await made.started()
        await until(lambda: started(made))
        made.reply(ID, 1)
        assert [answer.start_attempts for answer in await asyncio.gather(*posts)] == [1, 0, 0]


async def test_a_request_between_a_missed_reply_and_the_record_of_the_end_gets_the_outcome(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recovery_module, "LOOKUPS_AFTER_GAP_S", (0.0, 0.1, 0.2))
    async with stage() as made:
        assert (await submit(made, wait=0)).outcome is None
        made.reply(ID, 1)
        running = described("RUNNING", input=input_of(channel=f"ns/me/{ID}"))
        made.endpoint.script("DescribeExecution", running, running, described("SUCCEEDED", output="1"))
        async with within(5):
            assert (await made.bridge.follow(ID, 20)).outcome == success(1)
        made.endpoint.script("DescribeExecution", running, described("SUCCEEDED", output="1"))
        async with within(5):
            assert (await submit(made)).outcome == success(1)
        made.assert_nothing_in_flight()


async def test_the_duration_of_an_execution_is_its_whole_duration_whenever_a_request_joins() -> None:
    async with stage() as made:
        made.endpoint.script("StartExecution", EXISTS)
        ended = described("SUCCEEDED", input=input_of(), output="1", stopDate=11.5)
        made.endpoint.script("DescribeExecution", ended)
        for _ in range(3):
            assert (await submit(made)).workflow == 10.5
        assert made.bridge.durations.typical_seconds == 10.5


async def test_another_body_under_the_key_is_refused_while_the_first_runs() -> None:
    async with stage() as made:
        first = submit(made, '{"a": 1}')
        await made.started()
        with pytest.raises(IdempotencyKeyReused):
            await submit(made, '{"a": 2}')
        made.reply(ID, 1)
        assert (await first).outcome == success(1)


SAME = ['{"a": 1, "b": 2}', '{"b":2,"a":1}', ' {"a":1,\n"b":2}']


@pytest.mark.parametrize("written", SAME[1:])
async def test_the_same_value_written_differently_joins_the_request_that_runs(written: str) -> None:
    async with stage() as made:
        first = submit(made, SAME[0])
        await made.started()
        second = submit(made, written)
        await until(lambda: made.admission.in_flight == 2)
        made.reply(ID, 1)
        assert [answer.outcome for answer in await asyncio.gather(first, second)] == [success(1)] * 2
        assert made.endpoint.count("StartExecution") == 1


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED"])
@pytest.mark.parametrize("written", SAME[1:])
async def test_the_same_value_written_differently_gets_the_result_from_the_record(written: str, status: str) -> None:
    async with stage() as made:
        made.endpoint.script("StartExecution", EXISTS)
        made.endpoint.script("DescribeExecution", described(status, input=input_of(SAME[0]), output="1"))
        answer = submit(made, written)
        if status == "RUNNING":
            await subscribed(made)
            made.reply(ID, 1)
        assert (await answer).outcome == success(1)


async def test_the_right_body_is_accepted_even_if_a_wrong_one_came_just_before() -> None:
    async with stage() as made:
        gate = asyncio.Event()
        made.endpoint.script("StartExecution", gated(gate, EXISTS))
        made.endpoint.script("DescribeExecution", described("SUCCEEDED", input=input_of('{"a": 1}'), output="1"))
        wrong = submit(made, '{"a": 2}')
        await made.started()
        right = submit(made, '{"a": 1}')
        await until(lambda: made.admission.in_flight == 2)
        gate.set()
        with pytest.raises(IdempotencyKeyReused):
            await wrong
        assert (await right).outcome == success(1)
        made.assert_nothing_in_flight()


async def test_an_unconfirmed_shared_start_follows_the_record() -> None:
    async with stage(timeout=2) as made:
        made.endpoint.script("StartExecution", gated(asyncio.Event(), STARTED))
        made.endpoint.script("DescribeExecution", described("RUNNING", input=input_of('{"a": 1}')))
        first = submit(made, '{"a": 1}')
        await made.started()
        with pytest.raises(IdempotencyKeyReused):
            await submit(made, '{"a": 2}')
        made.reply(ID, 1)
        assert (await first).outcome == success(1)
        made.assert_nothing_in_flight()


async def test_an_unconfirmed_shared_start_never_returns_the_execution_of_another_body() -> None:
    async with stage(timeout=2) as made:
        made.endpoint.script("StartExecution", gated(asyncio.Event(), STARTED))
        made.endpoint.script("DescribeExecution", described("SUCCEEDED", input=input_of('{"a": 1}'), output="1"))
        with pytest.raises(IdempotencyKeyReused):
            await submit(made, '{"a": 2}')
        made.assert_nothing_in_flight()


async def test_an_unconfirmed_shared_start_without_a_record_stays_unknown() -> None:
    async with stage(timeout=2) as made:
        made.endpoint.script("StartExecution", gated(asyncio.Event(), STARTED))
        made.endpoint.script("DescribeExecution", error("ExecutionDoesNotExist"))
        with pytest.raises(OutcomeUnknown):
            await submit(made)
        made.assert_nothing_in_flight()


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED"])
async def test_another_body_under_the_key_is_refused_from_the_record(status: str) -> None:
    async with stage() as made:
        made.endpoint.script("StartExecution", EXISTS)
        made.endpoint.script("DescribeExecution", described(status, input=input_of('{"a": 1}'), output="1"))
        with pytest.raises(IdempotencyKeyReused):
            await submit(made, '{"a": 2}')
        made.assert_nothing_in_flight()


async def test_an_execution_that_has_ended_answers_its_key_again() -> None:
    async with stage() as made:
        made.endpoint.script("StartExecution", EXISTS)
        made.endpoint.script("DescribeExecution", described("FAILED", input=input_of(), error="Broken"))
        answers = await asyncio.gather(*(submit(made) for _ in range(10)))
        assert set(answers) == {Result(ID, Failed("Broken"))}
        assert made.endpoint.count("DescribeExecution") == 1


async def test_a_waiting_read_gets_the_reply_of_this_instances_execution() -> None:
    async with stage() as made:
        await made.submit("{}", 0)
        own = await made.started()
        made.endpoint.script("DescribeExecution", described("RUNNING", input=input_of(channel=f"ns/me/{own}")))
        read = asyncio.create_task(made.bridge.follow(own, 20))
        await made.endpoint.arrived("DescribeExecution")
        made.reply(own, 1)
        result = await read
        assert result == Result(own, success(1))
        assert (result.workflow or 0) > 1e9  # from its start on, which the record puts in 1970
        assert made.subscribed == {}


async def test_a_read_that_fails_after_the_reply_has_come_returns_the_reply() -> None:
    async with stage() as made:
        gate = asyncio.Event()
        made.endpoint.script("DescribeExecution", gated(gate, error("AccessDeniedException")))
        read = asyncio.create_task(made.bridge.follow(ID, 20))
        await made.endpoint.arrived("DescribeExecution")
        made.reply(ID, 1)
        gate.set()
        assert (await read).outcome == success(1)
        made.assert_nothing_in_flight()


async def test_a_duplicate_waits_a_limited_time_for_the_start_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_starts, "SHARED_START_TIMEOUT_S", 0.2)
    async with stage() as made:
        gate = asyncio.Event()
        made.endpoint.script("StartExecution", gated(gate, STARTED))
        first = submit(made)
        await made.started()
        with pytest.raises(IdempotencyConflict):
            await made.submit("{}", 0.1, execution_id=ID)
        with pytest.raises(IdempotencyConflict):
            await made.submit('{"another": "body"}', 0.1, execution_id=ID)
        gate.set()
        made.reply(ID, 1)
        assert (await first).outcome == success(1)
        made.assert_nothing_in_flight()


async def test_a_shared_start_survives_a_standstill_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_starts, "SHARED_START_TIMEOUT_S", 2.0)
    async with stage() as made:
        gate = asyncio.Event()
        made.endpoint.script("StartExecution", gated(gate, STARTED))
        first, second = submit(made, wait=1), submit(made, wait=1)
        await made.started()
        made.reply(ID, 1)
        time.sleep(2.1)  # noqa: ASYNC251 - the standstill
        gate.set()
        assert [(await post).outcome for post in (first, second)] == [success(1), success(1)]


async def test_a_waiting_read_of_an_execution_with_a_foreign_input_polls_the_record() -> None:
    async with stage() as made:
        made.endpoint.script(
            "DescribeExecution", described("RUNNING", input="[]"), described("SUCCEEDED", input="[]", output="1")
        )
        async with within(5):
            assert (await made.bridge.follow(ID, 20)).outcome == success(1)


async def test_a_waiting_read_that_times_out_leaves_nothing_behind() -> None:
    async with stage() as made:
        made.endpoint.script("DescribeExecution", described("RUNNING", input=input_of()))
        read = asyncio.create_task(made.bridge.follow(ID, 0.3))
        channel = await subscribed(made)
        assert (await read).outcome is None
        await until(lambda: channel.ended)
        made.assert_nothing_in_flight()


async def test_a_read_waits_only_below_the_limit_of_requests() -> None:
    async with stage(max_in_flight=1) as made:
        first = asyncio.create_task(made.submit("{}", 20))
        own = await made.started()
        made.endpoint.script("DescribeExecution", described("RUNNING", input=input_of()))
        assert (await made.bridge.follow(ID, 20)).outcome is None
        made.reply(own)
        await first


async def test_an_unknown_execution_is_not_waited_for() -> None:
    async with stage() as made:
        made.endpoint.script("DescribeExecution", error("ExecutionDoesNotExist"))
        with pytest.raises(UnknownExecution):
            await made.bridge.follow(ID, 20)
        made.assert_nothing_in_flight()


@pytest.mark.parametrize("record", [error("ExecutionDoesNotExist"), described("RUNNING", input="{}")])
async def test_an_execution_that_cannot_be_compared_is_a_conflict(
    record: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_module, "EXISTING_RETRY_DELAYS_S", (0.01,) * 4)
    async with stage() as made:
        made.endpoint.script("StartExecution", EXISTS)
        made.endpoint.script("DescribeExecution", record)
        with pytest.raises(IdempotencyConflict):
            await submit(made)
        made.assert_nothing_in_flight()


async def test_the_record_of_an_execution_known_to_exist_is_awaited_for_longer() -> None:
    async with stage() as made:
        made.endpoint.script("StartExecution", EXISTS)
        behind = [error("ExecutionDoesNotExist")] * 3
        made.endpoint.script("DescribeExecution", *behind, described("SUCCEEDED", input=input_of(), output="1"))
        assert (await submit(made)).outcome == success(1)


async def test_a_failed_shared_start_fails_all_its_callers_and_the_next_one_tries_again() -> None:
    async with stage(timeout=0.3) as made:
        made.endpoint.script("StartExecution", error("ThrottlingException"))
        for result in await asyncio.gather(*(submit(made) for _ in range(5)), return_exceptions=True):
            assert isinstance(result, Throttled)
        made.endpoint.script("StartExecution", STARTED)
        post = submit(made)
        await until(lambda: started(made))
        made.reply(ID, 1)
        assert (await post).outcome == success(1)


async def test_after_a_start_that_failed_another_body_gets_a_start_of_its_own() -> None:
    async with stage() as made:
        gate = asyncio.Event()
        made.endpoint.script("StartExecution", gated(gate, error("AccessDeniedException")), STARTED)
        failing = [submit(made, '{"a": 1}')]
        await made.started()
        other = submit(made, '{"a": 2}')
        failing.append(submit(made, '{"a": 1}'))  # leaves after the other one has begun its start
        await until(lambda: made.admission.in_flight == 3)
        gate.set()
        assert [type(result) for result in await asyncio.gather(*failing, return_exceptions=True)] == [Refused] * 2
        await made.started(2)
        shared = submit(made, '{"a": 2}')
        await until(lambda: started(made))
        made.reply(ID, 1)
        assert (await other).outcome == (await shared).outcome == success(1)
        assert made.endpoint.count("StartExecution") == 2


async def test_a_start_that_fails_after_its_last_caller_has_left_is_no_error_of_the_event_loop() -> None:
    errors: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    async with stage() as made:
        gate = asyncio.Event()
        made.endpoint.script("StartExecution", gated(gate, error("AccessDeniedException")))
        post = submit(made)
        await made.started()
        post.cancel()
        await asyncio.wait([post])
        del post  # its frames hold the task of the start
        gate.set()
        await until(lambda: not len(made.bridge._shared_starts._tasks))
        gc.collect()  # asyncio logs an exception that nobody retrieved when its task is collected
    assert errors == []


async def test_a_caller_waits_for_a_shared_start_as_long_as_its_own_wait_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_starts, "SHARED_START_TIMEOUT_S", 0.1)
    async with stage() as made:
        gate = asyncio.Event()
        made.endpoint.script("StartExecution", gated(gate, STARTED))
        post = submit(made)
        await made.started()
        await asyncio.wait([post], timeout=0.3)
        gate.set()
        made.reply(ID, 1)
        assert (await post).outcome == success(1)


async def test_a_shared_start_that_the_record_confirms_is_announced_and_read_no_more() -> None:
    async with stage(timeout=0.3) as made:
        made.endpoint.script("StartExecution", gated(asyncio.Event(), STARTED))
        made.endpoint.script("DescribeExecution", described("RUNNING", input=input_of(channel=f"ns/me/{ID}")))
        announced: list[str] = []
        assert (await made.submit("{}", 1, execution_id=ID, on_start=announced.append)).outcome is None
        assert announced == [ID]
        assert made.endpoint.count("DescribeExecution") == 1


async def test_nothing_is_started_for_a_key_while_the_link_is_down() -> None:
    async with stage() as made:
        made.channel.go_down(since=60)
        with pytest.raises(LinkDown):
            await submit(made)
        assert made.endpoint.calls == []


async def test_the_first_caller_can_leave_without_ending_the_start_of_the_others() -> None:
    async with stage(stop_abandoned=True) as made:
        gate = asyncio.Event()
        made.endpoint.script("StartExecution", gated(gate, STARTED))
        first, second = submit(made), submit(made)
        await made.started()
        first.cancel()
        await asyncio.wait([first])
        third = submit(made)
        gate.set()
        await until(lambda: started(made))
        made.reply(ID, 1)
        assert (await second).outcome == (await third).outcome == success(1)
        assert made.endpoint.count("StartExecution") == 1
        assert made.endpoint.count("StopExecution") == 0


async def test_the_execution_of_a_key_is_kept_when_all_its_callers_leave() -> None:
    async with stage(stop_abandoned=True) as made:
        post = submit(made)
        await made.started()
        post.cancel()
        await asyncio.wait([post])
        made.endpoint.script("StartExecution", EXISTS)
        made.endpoint.script("DescribeExecution", described("SUCCEEDED", input=input_of(), output="1"))
        assert (await submit(made)).outcome == success(1)
        assert made.endpoint.count("StopExecution") == 0


async def test_an_unconfirmed_start_under_a_key_is_confirmed_before_its_url_is_returned() -> None:
    async with stage(timeout=0.2) as made:

        async def hang(_request: web.Request, _call: Call) -> web.StreamResponse:
            await asyncio.get_running_loop().create_future()
            raise AssertionError

        made.endpoint.script("StartExecution", hang)
        made.endpoint.script("DescribeExecution", error("ExecutionDoesNotExist"))
        with pytest.raises(OutcomeUnknown):
            await submit(made, wait=1)
        made.endpoint.script("DescribeExecution", described("RUNNING", input=input_of()))
        assert (await submit(made, wait=1)).outcome is None


async def test_a_release_during_a_shared_start_answers_all_its_callers() -> None:
    async with stage() as made:
        made.endpoint.script("StartExecution", gated(asyncio.Event(), STARTED))
        posts = [submit(made) for _ in range(3)]
        await made.started()
        made.bridges.release()
        for result in await asyncio.gather(*posts, return_exceptions=True):
            assert isinstance(result, OutcomeUnknown)
        with pytest.raises(Draining):
            await submit(made)
        made.assert_nothing_in_flight()

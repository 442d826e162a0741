"""Recovery over our real Step Functions client, against an endpoint that is scripted or keeps a record of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import pytest
from aiohttp import web

from service.bridge import lookup_queue
from service.bridge import recovery as recovery_module
from service.bridge.pending import PendingReplies
from service.bridge.recovery import Recovery
from service.errors import OutcomeUnknown, Problem, Refused, Throttled, Unreachable
from service.stepfunctions.outcomes import Outcome
from service.stepfunctions.read_budgets import ReadBudgets
from service.stepfunctions.reader import RecordReader
from tests.support.account import outage
from tests.support.ledger import outcome, scene
from tests.support.outcomes import success
from tests.support.step_functions import (
    Call,
    ScriptedStepFunctions,
    step_functions_client,
)
from tests.support.virtual_time import VirtualTimeLoop


async def test_a_gap_is_followed_by_several_lookups_as_listings_lag_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery_module, "LOOKUPS_AFTER_GAP_S", (0.0, 0.1, 0.2))
    async with scene() as made:
        waiters = [made.expect(f"e{n}", "RUNNING") for n in range(20)]
        made.recovery.link_restored()
        await made.endpoint.arrived("ListExecutions", 1)
        made.ledger.statuses["e7"] = "SUCCEEDED"
        assert await outcome(waiters[7]) == success("e7")
        await made.endpoint.arrived("ListExecutions", 3)
        assert made.reads() == ["e7"]


def test_the_lookups_after_a_gap_come_at_once_and_a_second_and_three_later() -> None:
    loop, times = VirtualTimeLoop(), list[float]()
    began = loop.time()

    async def run() -> None:
        replies, record = PendingReplies(), None
        recovery = Recovery(replies, cast("Any", record))
        recovery.lookup = lambda _: times.append(loop.time() - began)  # type: ignore[method-assign, assignment]  # noted instead of looked up
        await recovery._lookup_after_gap(["exec-1"])

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(run())
    assert times == pytest.approx([0, 1, 3])


async def test_pending_executions_are_polled_while_the_link_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery_module, "FIRST_POLL_AFTER_S", 0.01)
    monkeypatch.setattr(recovery_module, "POLL_INTERVAL_S", 0.05)
    async with scene() as made:
        waiters = [made.expect(f"e{n}", "RUNNING") for n in range(20)]
        made.recovery.link_lost()
        for n in (3, 5):
            made.ledger.statuses[f"e{n}"] = "SUCCEEDED"
            assert await outcome(waiters[n]) == success(f"e{n}")
        made.recovery.link_restored()
        await made.endpoint.arrived("ListExecutions", made.endpoint.count("ListExecutions") + 1)


async def test_repeated_lookups_of_one_execution_do_not_increase_its_read_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lookup_queue, "RECORD_LAG_PAUSES_S", (0.2,))
    async with scene() as made:
        made.expect("a")
        made.recovery.lookup_ended("a")
        for number in range(1, 8):  # each of them moves the scheduled read forward
            await made.endpoint.arrived("DescribeExecution", number)
            made.recovery.lookup(["a"])
        before = made.endpoint.count("DescribeExecution")
        await asyncio.sleep(1)
        assert made.endpoint.count("DescribeExecution") - before <= 10  # five; before a fix it was forty


async def test_a_polled_execution_is_read_until_its_last_waiter_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery_module, "POLL_INTERVAL_S", 0.05)
    async with scene() as made:
        waiter = made.expect("a")
        with made.recovery.polling("a"):
            await made.endpoint.arrived("DescribeExecution", 3)
            made.ledger.statuses["a"] = "SUCCEEDED"
            assert await outcome(waiter) == success("a")
        assert not made.recovery._polled


async def test_polling_continues_until_the_last_of_several_waiters_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery_module, "POLL_INTERVAL_S", 0.05)
    async with scene() as made:
        waiter = made.expect("a")
        with made.recovery.polling("a"):
            with made.recovery.polling("a"):
                await made.endpoint.arrived("DescribeExecution")
            made.ledger.statuses["a"] = "SUCCEEDED"
            assert await outcome(waiter) == success("a")


async def test_there_is_one_polling_task_however_many_waiters_come_and_go() -> None:
    async with scene() as made:
        for name in "abcdef":
            with made.recovery.polling(name):
                await asyncio.sleep(0)
        assert len(made.recovery._tasks) == 3  # the queue, the sweeps and the polling


async def test_nothing_is_read_of_a_state_machine_without_records() -> None:
    replies = PendingReplies()
    async with ScriptedStepFunctions() as endpoint, step_functions_client(endpoint.url) as client:
        record = RecordReader(client, ReadBudgets())
        record.kept = False
        async with Recovery(replies, record.budgets) as recovery:
            with replies.expect("a", record=record), recovery.polling("a"):
                recovery.lookup(["a"])
                recovery.lookup_ended("a")
                recovery.link_lost()
                recovery.link_restored()
                recovery._lookups.sweep(lambda _: ["a"])
                await asyncio.sleep(0.01)
        assert endpoint.calls == []


async def test_closing_cancels_all_lookups() -> None:
    async with scene() as made:
        made.endpoint.script("DescribeExecution", never_respond)
        made.expect("a")
        made.recovery.lookup(["a"])
        await made.endpoint.arrived("DescribeExecution")
        made.recovery.link_lost()
    assert len(made.recovery._tasks) == 0


async def never_respond(_request: web.Request, _call: Call) -> web.StreamResponse:
    await asyncio.get_running_loop().create_future()
    raise AssertionError


DENIED = Refused("AccessDeniedException")
FAULTS: dict[str, dict[str, Problem | str]] = {
    "none": {},
    "listing denied": {"ListExecutions": DENIED},
    "listing throttled": {"ListExecutions": Throttled("no")},
    "listing hangs": {"ListExecutions": "hang"},
    "nonsense listed": {"ListExecutions": OutcomeUnknown("no")},
    "listing unreachable": {"ListExecutions": Unreachable("no")},
    "history denied": {"GetExecutionHistory": DENIED},
    "describing denied": {"DescribeExecution": DENIED},
    "listing and history denied": {"ListExecutions": DENIED, "GetExecutionHistory": DENIED},
    "listing hangs, describing denied": {"ListExecutions": "hang", "DescribeExecution": DENIED},
}


@pytest.mark.parametrize("seconds", [2, 8])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_ended_in_a_gap_is_read_soon_after_it_whatever_else_fails(fault: str, seconds: float) -> None:
    faults = FAULTS[fault]
    within = 4 if faults.keys() <= {"ListExecutions"} else 12  # with one quota instead of two

    async def gap() -> None:
        async with outage(**faults) as it:
            ended, running = it.expect(150, ends_in=seconds - 0.1, wait=29), it.expect(150, ends_in=600, wait=29)
            it.recovery.link_lost()
            await asyncio.sleep(seconds)
            it.recovery.link_restored()
            async with asyncio.timeout(within):
                await asyncio.gather(*ended)
            await asyncio.sleep(12)
            assert await it.calls_in(60) == 0  # for those that are running, the link is up again
            assert not any(waiter.done() for waiter in running)

    run(gap())


@pytest.mark.parametrize("fault", FAULTS)
def test_while_the_link_is_down_reads_keep_to_the_quotas_and_end_with_the_waits(fault: str) -> None:
    async def long_outage() -> None:
        async with outage(**FAULTS[fault]) as it:
            it.recovery.link_lost()
            waiters = it.expect(300, ends_in=600, wait=29)
            waits = [waiter.until_deadline() for waiter in waiters]
            await asyncio.sleep(5)
            assert await it.calls_in(20) <= 20 * 40
            assert set(await asyncio.gather(*waits)) == {None}
            await asyncio.sleep(1)
            assert await it.calls_in(60) == 0

    run(long_outage())


def test_reads_that_are_all_denied_end_with_the_waits() -> None:
    async def denied() -> None:
        async with outage(ListExecutions=DENIED, GetExecutionHistory=DENIED, DescribeExecution=DENIED) as it:
            waits = [waiter.until_deadline() for waiter in it.expect(100, ends_in=1)]
            it.recovery.link_restored()
            assert await it.calls_in(10) > 0
            assert set(await asyncio.gather(*waits)) == {None}
            await asyncio.sleep(1)
            assert await it.calls_in(60) == 0

    run(denied())


def test_a_listing_that_works_again_replaces_reading_one_by_one() -> None:
    async def healed() -> None:
        async with outage(ListExecutions=DENIED) as it:
            it.expect(100, ends_in=600)
            it.recovery.link_lost()
            await asyncio.sleep(1)
            assert it.account.calls["DescribeExecution"] == 100
            it.account.faults.clear()
            await asyncio.sleep(4)
            assert await it.calls_in(10) == it.account.calls["ListExecutions"] - 3 == 5

    run(healed())


@pytest.mark.parametrize("wait", [30.0, 31.0, 285.0, 890.0])
def test_an_end_that_nothing_reported_is_found_within_thirty_seconds(wait: float) -> None:
    async def lost() -> None:
        async with outage() as it:
            waits = [waiter.until_deadline() for waiter in it.expect(20, ends_in=3.0, wait=wait)]
            async with asyncio.timeout(3 + 30):
                assert set(await asyncio.gather(*waits)) == {success(1)}

    run(lost())


def test_a_reply_that_comes_in_time_is_never_read() -> None:
    async def in_time() -> None:
        async with outage() as it:
            for second in range(60):  # replies come a second after the end, so each sweep finds some that have ended
                waiters = it.expect(20, ends_in=1.0 + second / 1000, wait=285)
                await asyncio.sleep(2)
                for waiter in waiters:
                    it.replies.resolve(waiter.execution_id, success(1))
            reads = it.account.calls.total() - it.account.calls["ListExecutions"]
            assert (reads, it.account.calls["ListExecutions"]) == (0, 11)

    run(in_time())


def test_long_waits_among_many_executions_of_others_are_swept_within_the_quotas() -> None:
    """Five starts a second for 90 seconds, a hundred of others that take eleven seconds each."""

    async def spread() -> None:
        async with outage() as it:
            found: list[float] = []
            now = asyncio.get_running_loop().time
            waits = 0
            for second in range(90):
                ends_in = 30.0 + second % 40 + second / 1e6
                for waiter in it.expect(5, ends_in=ends_in, wait=890):
                    ended = now() + ends_in
                    waiter.add_done_callback(lambda _, ended=ended: found.append(now() - ended))  # type: ignore[misc]  # a callback's type is not inferred
                    waits += 1
                it.others(100, lasting=11.0)
                await asyncio.sleep(1)
            await asyncio.sleep(100)
            assert len(found) == waits == 450
            assert max(found) < 30
            assert it.account.throttled == 0

    run(spread())


def test_long_waits_among_ninety_thousand_running_executions_are_swept_within_thirty_seconds() -> None:
    """A hundred starts a second that each run for a quarter of an hour, and waits for some of every age among them."""

    async def spread() -> None:
        async with outage() as it:
            late: list[float] = []
            now = asyncio.get_running_loop().time

            def expect(execution_id: str, ends_in: float, age: float) -> None:
                it.account.start(execution_id, ends_in, age)
                ended = now() + ends_in
                it.join(execution_id, wait=890).add_done_callback(lambda _: late.append(now() - ended))

            for age in range(900, 0, -1):
                it.others(100, lasting=900.0, age=age)
                expect(f"before-{age}", ends_in=(age * 7919) % 180, age=age)
            for second in range(180):
                it.others(100, lasting=900.0)
                expect(f"new-{second}", ends_in=2.0 + second % 40, age=0.0)
                await asyncio.sleep(1)
            await asyncio.sleep(75)
            assert len(late) == 900 + 180
            assert max(late) < 30
            reads = it.account.calls.total() - it.account.calls["ListExecutions"]
            assert reads == len(late)  # none of what was running
            assert it.account.throttled == 0

    run(spread())


@pytest.mark.parametrize("starts", [10, 56])
def test_what_ended_in_a_gap_is_found_wherever_in_a_quarter_of_an_hour_it_was_started(starts: int) -> None:
    """So many starts a second, among a hundred of others; a quarter of an hour scaled down ten times."""

    async def gap() -> None:
        async with outage() as it:
            waits: list[asyncio.Future[Outcome | None]] = []
            for second in range(90):
                waiters = it.expect(starts, ends_in=100.0 - second, wait=890)
                waits += [waiter.until_deadline() for waiter in waiters]
                it.others(100, lasting=11.0)
                await asyncio.sleep(1)
            it.recovery.link_lost()
            await asyncio.sleep(12)
            it.recovery.link_restored()
            async with asyncio.timeout((len(waits) - 700) / 35 + 5):  # the quotas of reads: 700, and 35 a second
                assert set(await asyncio.gather(*waits)) == {success(1)}
            assert it.account.throttled == 0

    run(gap())


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(work)

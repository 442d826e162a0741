from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from service.bridge import listings, lookup_queue
from service.bridge.waiter import Waiter
from service.stepfunctions.budget import Budget
from service.stepfunctions.outcomes import Aborted, Failed, Outcome, TimedOut
from service.stepfunctions.records import End
from service.stepfunctions.token_bucket import Quota
from tests.support.ledger import Scene, outcome, scene
from tests.support.outcomes import success
from tests.support.step_functions import (
    Call,
    Script,
    ScriptedStepFunctions,
    described,
    error,
    gated,
    ok,
    step_functions_client,
)


async def test_an_execution_that_may_have_ended_is_read() -> None:
    async with scene() as made:
        ended, running = made.expect("ended", "SUCCEEDED"), made.expect("running")
        made.recovery.lookup(["ended", "running"])
        assert await outcome(ended) == success("ended")
        await made.endpoint.arrived("DescribeExecution", 2)
        assert not running.done()
        assert made.recovery.recovered == 1
        assert made.endpoint.count("ListExecutions") == 0  # for a few a listing costs more than it saves


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (described("FAILED", error="Broken"), Failed("Broken")),
        (described("ABORTED"), Aborted()),
        (described("TIMED_OUT"), TimedOut()),
        (described("SUCCEEDED"), Failed("UnreadableOutput")),
    ],
)
async def test_each_kind_of_end_in_the_record_gives_its_outcome(record: Script, expected: Outcome) -> None:
    async with scene() as made:
        waiter = made.expect("a")
        made.endpoint.script("DescribeExecution", record)
        made.recovery.lookup(["a"])
        assert await outcome(waiter) == expected


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"type": "ExecutionFailed", "executionFailedEventDetails": {"error": "Broken"}}, Failed("Broken")),
        ({"type": "ExecutionFailed"}, Failed("")),
        ({"type": "ExecutionAborted"}, Aborted()),
        ({"type": "ExecutionTimedOut"}, TimedOut()),
        ({"type": "ExecutionSucceeded", "executionSucceededEventDetails": {"output": "1"}}, success(1)),
        ({"type": "WaitStateEntered"}, None),
        ({}, None),
    ],
)
async def test_each_kind_of_end_in_the_history_gives_its_outcome(
    event: dict[str, Any], expected: Outcome | None
) -> None:
    async with ScriptedStepFunctions() as endpoint, step_functions_client(endpoint.url) as client:
        endpoint.script("GetExecutionHistory", ok(events=[event] if event else []))
        assert await client.outcome_from_history("a") == expected
        assert endpoint.calls[0][1]["reverseOrder"] is True
        assert endpoint.calls[0][1]["maxResults"] == 1


async def test_of_many_executions_only_those_not_listed_as_running_are_read() -> None:
    async with scene() as made:
        waiters = {f"e{n}": made.expect(f"e{n}", "SUCCEEDED" if n % 50 == 0 else "RUNNING") for n in range(1500)}
        made.recovery.lookup(made.replies.pending())
        ended = [name for name in waiters if int(name[1:]) % 50 == 0]
        for name in ended:
            assert await outcome(waiters[name]) == success(name)
        assert made.endpoint.count("ListExecutions") == 2
        assert set(made.reads()) == set(ended)
        assert sum(waiter.done() for waiter in waiters.values()) == len(ended)


async def test_a_listing_stops_after_the_last_pending_execution() -> None:
    async with scene() as made:
        made.ledger.statuses.update({f"old{n}": "RUNNING" for n in range(5000)})
        for n in range(20):
            made.expect(f"e{n}")
        made.recovery.lookup(made.replies.pending())
        await made.endpoint.arrived("ListExecutions")
        last = made.expect("last", "SUCCEEDED")
        made.recovery.lookup(["last"])
        assert await outcome(last) == success("last")
        assert made.endpoint.count("ListExecutions") == 1


async def test_pending_executions_may_be_anywhere_among_those_of_others() -> None:
    async with scene() as made:
        waiters = []
        for n in range(20):
            made.ledger.statuses.update({f"other{n}.{m}": "RUNNING" for m in range(150)})
            waiters.append(made.expect(f"e{n}", "SUCCEEDED"))
        made.recovery.lookup(made.replies.pending())
        assert [await outcome(waiter) for waiter in waiters] == [success(f"e{n}") for n in range(20)]
        assert made.endpoint.count("ListExecutions") == 3


async def test_beyond_the_last_page_executions_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listings, "MAX_LIST_PAGES", 2)
    async with scene() as made:
        waiters = [made.expect(f"e{n}", "SUCCEEDED") for n in range(10)]
        made.ledger.statuses.update({f"other{n}": "RUNNING" for n in range(3000)})
        made.recovery.lookup(made.replies.pending())
        assert [await outcome(waiter) for waiter in waiters] == [success(f"e{n}") for n in range(10)]
        assert made.endpoint.count("ListExecutions") == 2


async def test_a_new_execution_is_not_read_before_listings_would_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup_queue, "LISTING_LAG_S", 0.3)
    async with scene() as made:
        for n in range(20):
            made.expect(f"e{n}")
        new = made.expect("new", "SUCCEEDED")
        new.since = asyncio.get_running_loop().time()
        made.recovery.lookup(made.replies.pending())
        await made.endpoint.arrived("ListExecutions")
        assert await outcome(new) == success("new")
        assert asyncio.get_running_loop().time() - new.since >= 0.3
        assert made.reads() == ["new"]


async def test_an_execution_that_a_listing_missed_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.get_running_loop().set_debug(False)  # on a busy machine it slows the reads beyond their timeouts
    monkeypatch.setattr(lookup_queue, "RECORD_LAG_PAUSES_S", (0.001,))
    async with scene() as made:
        for n in range(20):
            made.expect(f"e{n}")
        made.endpoint.script("ListExecutions", ok(executions=[]))
        made.recovery.lookup(made.replies.pending())
        repeats = lookup_queue.MAX_PRESUMED_REPEATS
        while len(made.reads()) < 20 * (1 + repeats) or len(made.recovery._lookups):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)
        assert len(made.reads()) == 20 * (1 + repeats)


async def test_a_read_that_failed_is_repeated_before_the_deadline() -> None:
    async with scene() as made:
        waiter = made.expect("a", "SUCCEEDED", within=1.0)
        made.endpoint.script("DescribeExecution", error("InternalFailure", 500), made.ledger._describe)
        made.recovery.lookup(["a"])
        assert await waiter.until_deadline() == success("a")


async def test_the_nearest_deadline_is_read_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup_queue, "MAX_CONCURRENT_READS", 1)  # of two under way at once, either may arrive first
    async with scene() as made:
        within = {"c": 30, "a": 10, "b": 20, "d": 40}
        waiters = [made.expect(name, "SUCCEEDED", seconds) for name, seconds in within.items()]
        for name in within:
            made.recovery.lookup_ended(name)
        for waiter in waiters:
            await outcome(waiter)
        assert made.reads() == ["a", "b", "c", "d"]


async def test_both_read_calls_are_used_up_to_their_quotas_and_no_further() -> None:
    async with scene(describe=Quota(5, 1), history=Quota(3, 1)) as made:
        loop = asyncio.get_running_loop()
        began = loop.time()  # the buckets are full, and refill from the first read on
        waiters = [made.expect(f"e{n}", "SUCCEEDED") for n in range(30)]
        for n in range(30):
            made.recovery.lookup_ended(f"e{n}")
        for waiter in waiters[:8]:
            await outcome(waiter)
        await asyncio.wait(waiters, timeout=1.5)
        more = sum(waiter.done() for waiter in waiters) - 8
        assert 1 <= more <= 2 * (loop.time() - began)
        assert len(made.reads()) == len(set(made.reads()))


async def test_an_execution_whose_waiters_have_left_is_not_read() -> None:
    async with scene(describe=Quota(1, 1), history=Quota(1, 1)) as made:
        assert made.record.budgets.describe.bucket.take()
        assert made.record.budgets.history.bucket.take()
        with made.replies.expect("left", asyncio.get_running_loop().time() + 5):
            made.recovery.lookup_ended("left")
            await asyncio.sleep(0)
        stayed = made.expect("stayed", "SUCCEEDED")
        made.recovery.lookup_ended("stayed")
        assert await outcome(stayed) == success("stayed")
        assert made.reads() == ["stayed"]
        assert len(made.recovery._lookups) == 0


async def test_an_announced_end_is_read_until_the_record_shows_it() -> None:
    async with scene() as made:
        waiter = made.expect("a")
        made.endpoint.script(
            "DescribeExecution",
            described("RUNNING"),
            error("ExecutionDoesNotExist"),
            described("SUCCEEDED", output="1"),
        )
        made.replies.deliver('{"id": "a", "status": "SUCCEEDED"}')
        assert await outcome(waiter) == success(1)
        assert made.endpoint.count("DescribeExecution") == 3


async def test_a_throttled_read_is_postponed_and_lowers_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup_queue, "RETRY_FAILED_READ_AFTER_S", 0.05)
    async with scene(describe=Quota(2, 50)) as made:
        waiter = made.expect("a", "SUCCEEDED")
        made.endpoint.script("DescribeExecution", error("ThrottlingException"), made.ledger._describe)
        made.recovery.lookup(["a"])
        await made.endpoint.arrived("DescribeExecution")
        assert await outcome(waiter) == success("a")
        assert made.record.budgets.describe.bucket._refill_rate < 50


async def test_a_bug_in_one_read_does_not_affect_other_waiters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup_queue, "RETRY_FAILED_READ_AFTER_S", 0.05)
    async with scene() as made:
        first, second = made.expect("a", "SUCCEEDED"), made.expect("b", "SUCCEEDED")
        read, faults = made.record.end, [ZeroDivisionError()]

        async def end_of(execution_id: str, claimed: Budget) -> End | None:
            if faults:
                raise faults.pop()
            return await read(execution_id, claimed)

        monkeypatch.setattr(made.record, "end", end_of)
        made.recovery.lookup(["a", "b"])
        assert await outcome(first) == success("a")
        assert await outcome(second) == success("b")


@pytest.mark.parametrize("answer", [error("AccessDeniedException"), error("InternalFailure", 500)])
async def test_if_listing_fails_the_executions_are_read_one_by_one(answer: Script) -> None:
    async with scene() as made:
        made.endpoint.script("ListExecutions", answer)
        waiters = [made.expect(f"e{n}", "SUCCEEDED") for n in range(20)]
        made.recovery.lookup(made.replies.pending())
        assert [await outcome(waiter) for waiter in waiters] == [success(f"e{n}") for n in range(20)]


async def after_a_failed_listing(made: Scene) -> list[Waiter]:
    """Look up twenty executions with a listing that fails: a few are being read, the others wait for quota."""
    made.endpoint.script("ListExecutions", error("AccessDeniedException"), made.ledger._list)
    waiters = [made.expect(f"e{n}", within=60 + n) for n in range(20)]
    made.recovery.lookup(made.replies.pending())
    await made.endpoint.arrived("DescribeExecution")
    await made.endpoint.arrived("GetExecutionHistory")
    return waiters


async def test_a_successful_listing_cancels_the_reads_queued_by_a_failed_one() -> None:
    async with scene(describe=Quota(1, 1), history=Quota(1, 1)) as made:
        waiters = await after_a_failed_listing(made)
        made.ledger.statuses["e19"] = "SUCCEEDED"
        made.recovery.lookup(made.replies.pending())
        assert await outcome(waiters[19]) == success("e19")
        assert set(made.reads()) <= {"e0", "e1", "e2", "e19"}


async def test_a_listing_does_not_cancel_a_read_requested_before_a_deadline() -> None:
    async with scene(describe=Quota(1, 1), history=Quota(1, 1)) as made:
        waiters = await after_a_failed_listing(made)
        made.recovery.lookup(["e5"])
        await asyncio.sleep(0)
        made.recovery.lookup(made.replies.pending())
        await made.endpoint.arrived("ListExecutions", 2)
        while made.recovery._lookups._listings.under_way(made.record):  # noqa: ASYNC110 - its end has no event
            await asyncio.sleep(0.01)
        made.ledger.statuses["e5"] = "SUCCEEDED"
        assert await outcome(waiters[5]) == success("e5")


async def test_an_execution_requested_again_during_its_read_is_read_once_more() -> None:
    async with scene() as made:
        waiter = made.expect("slow")
        gate = asyncio.Event()
        made.endpoint.script("DescribeExecution", gated(gate, described("RUNNING")), made.ledger._describe)
        made.recovery.lookup(["slow"])
        await made.endpoint.arrived("DescribeExecution")
        made.ledger.statuses["slow"] = "SUCCEEDED"
        made.recovery.lookup(["slow"])
        await asyncio.sleep(0)
        gate.set()
        assert await outcome(waiter) == success("slow")


async def test_a_listing_that_hangs_delays_no_other_lookup() -> None:
    async with scene() as made:
        made.endpoint.script("ListExecutions", never_respond)
        for n in range(20):
            made.expect(f"e{n}")
        made.recovery.lookup([f"e{n}" for n in range(20)])
        await made.endpoint.arrived("ListExecutions")
        late = made.expect("late", "SUCCEEDED")
        made.recovery.lookup(["late"])
        assert await outcome(late) == success("late")
        assert made.endpoint.count("ListExecutions") == 1


async def never_respond(_request: web.Request, _call: Call) -> web.StreamResponse:
    await asyncio.get_running_loop().create_future()
    raise AssertionError


async def test_a_read_that_is_refused_is_made_by_the_other_call_at_once_and_from_then_on() -> None:
    async with scene() as made:
        made.endpoint.script("DescribeExecution", error("AccessDeniedException"))
        async with asyncio.timeout(lookup_queue.RETRY_FAILED_READ_AFTER_S - 0.5):
            for name in ("a", "b", "c"):
                waiter = made.expect(name, "SUCCEEDED")
                made.recovery.lookup([name])
                assert await outcome(waiter) == success(name)
        assert made.endpoint.count("DescribeExecution") == 1


async def test_a_request_wakes_a_queue_that_has_nothing_to_do() -> None:
    async with scene() as made:
        while made.recovery._lookups._wake.is_set():  # noqa: ASYNC110 - the worker's wait has no event
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        waiter = made.expect("a", "SUCCEEDED")
        made.recovery.lookup(["a"])
        assert await outcome(waiter) == success("a")


async def test_what_was_requested_during_a_listing_is_listed_after_it() -> None:
    async with scene() as made:
        gate = asyncio.Event()
        made.endpoint.script("ListExecutions", gated(gate, made.ledger._list), made.ledger._list)
        for batch in ("a", "b"):
            names = [f"{batch}{n}" for n in range(20)]
            for name in names:
                made.expect(name)
            made.recovery.lookup(names)
            await made.endpoint.arrived("ListExecutions")
        await asyncio.sleep(0.01)
        assert made.endpoint.count("ListExecutions") == 1
        gate.set()
        await made.endpoint.arrived("ListExecutions", 2)


@pytest.mark.parametrize(
    ("action", "number", "event", "level"),
    [
        ("DescribeExecution", 1, "lookup_delayed", "debug"),
        ("ListExecutions", 20, "list_executions_failed", "warning"),
        ("a bug", 1, "lookup_failed", "error"),
    ],
)
async def test_a_lookup_that_fails_is_logged(
    action: str, number: int, event: str, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene() as made:
        if action == "a bug":
            monkeypatch.setattr(made.record, "end", None)
        made.endpoint.script(action, error("InternalFailure", 500))
        names = [f"e{n}" for n in range(number)]
        for name in names:
            made.expect(name)
        with capture_logs() as logs:
            made.recovery.lookup(names)
            async with asyncio.timeout(10):
                while (event, level) not in [(line["event"], line["log_level"]) for line in logs]:  # noqa: ASYNC110 - a log has no event
                    await asyncio.sleep(0.01)

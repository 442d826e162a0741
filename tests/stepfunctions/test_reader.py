from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from service.bridge.result import Result
from service.errors import Throttled, Unavailable, UnknownExecution
from service.stepfunctions.read_budgets import ReadBudgets
from service.stepfunctions.reader import RecordReader
from service.stepfunctions.records import Execution
from service.stepfunctions.token_bucket import Quota
from tests.support.outcomes import success
from tests.support.stage import Stage, stage
from tests.support.step_functions import Script, described, error, gated, ok
from tests.support.virtual_time import VirtualTimeLoop


async def test_a_record_that_lags_behind_is_read_again() -> None:
    async with stage() as made:
        made.endpoint.script("DescribeExecution", error("ExecutionDoesNotExist"), described("RUNNING"))
        assert (await made.bridge.follow("exec-1", 0)).outcome is None


@asynccontextmanager
async def guesses(made: Stage, number: int) -> AsyncIterator[list[asyncio.Task[Result]]]:
    """Read so many ids that do not exist, all at once; the block begins when the first has an answer."""
    made.endpoint.script("DescribeExecution", error("ExecutionDoesNotExist"))
    tasks = [asyncio.create_task(made.bridge.follow(f"exec-{n}", 0, foreign=True)) for n in range(number)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    yield tasks
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_no_execution_is_called_unknown_if_the_quota_does_not_allow_three_reads() -> None:
    async with stage(quotas={"describe": Quota(60, 1)}) as made, guesses(made, 30) as tasks:
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, UnknownExecution | Throttled) for end in ends)
        unknown = sum(isinstance(end, UnknownExecution) for end in ends)
        assert 3 * unknown <= made.endpoint.count("DescribeExecution") <= 26


@pytest.mark.parametrize("known_by", ["start", "read", "wait", "stop"])
async def test_an_id_that_is_known_is_read_at_once_however_many_guesses_come(known_by: str) -> None:
    async with stage(quotas={"describe": Quota(60, 1)}) as made:
        execution_id = await make_known(made, known_by)
        async with guesses(made, 30) as tasks:
            assert any(task.done() and isinstance(task.exception(), Throttled) for task in tasks)
            made.endpoint.script("DescribeExecution", described("SUCCEEDED", output="1"))
            async with asyncio.timeout(2):
                for _ in range(10):
                    assert (await made.bridge.follow(execution_id, 0, foreign=True)).outcome == success(1)


async def make_known(made: Stage, by: str) -> str:
    made.endpoint.script("DescribeExecution", described("RUNNING"))
    made.endpoint.script("StopExecution", ok(stopDate=1.0))
    match by:
        case "start":
            return (await made.submit("{}", 0.01)).execution_id
        case "read":
            await made.bridge.follow("exec-known", 0, foreign=True)
        case "wait":
            await made.bridge.follow("exec-known", 0.01, foreign=True)
        case _:
            await made.bridge.stop("exec-known")
    return "exec-known"


@pytest.mark.parametrize("wait", [0.0, 0.5, 1.0, 20.0])
async def test_guesses_are_neither_looked_up_nor_remembered_however_long_they_wait(wait: float) -> None:
    async with stage() as made:
        gate = asyncio.Event()
        made.endpoint.script("DescribeExecution", gated(gate, error("ExecutionDoesNotExist")))
        guess = asyncio.create_task(made.bridge.follow("exec-guess", wait, foreign=True))
        await made.endpoint.arrived("DescribeExecution")
        assert made.replies.pending() == []
        gate.set()
        with pytest.raises(UnknownExecution):
            await guess
        assert not made.replies.knows("exec-guess")


async def test_no_call_is_made_without_a_token() -> None:
    """StartExecution is not among them, which is retried, nor DescribeStateMachine, which is called once."""
    async with stage() as made:
        record = made.record
        for budget in (record.budgets.describe, record.budgets.history, record.budgets.list, made.stopper.budget):
            budget.bucket._tokens = -10_000
        assert record.budgets.claim() is None
        calls = (
            lambda: record.describe("exec-1"),
            lambda: record.describe("exec-1", guess=True),
            lambda: made.stopper.stop("exec-1"),
            lambda: record.confirm("exec-1"),
            lambda: record.running(None),
        )
        for call in calls:
            with pytest.raises(Throttled):
                await call()
        assert made.endpoint.calls == []


@pytest.mark.parametrize(("given", "times"), [({}, [0, 0.2, 0.8]), ({"exists": True}, [0, 0.2, 0.8, 1.8, 3.8])])
def test_an_unknown_execution_is_read_again_after_longer_and_longer_pauses(
    given: dict[str, bool], times: list[float]
) -> None:
    loop = VirtualTimeLoop()
    began, seen = loop.time(), list[float]()

    class Client:
        async def describe(self, _execution_id: str) -> None:
            seen.append(loop.time() - began)
            raise UnknownExecution("unknown")

    client: Any = Client()
    with asyncio.Runner(loop_factory=lambda: loop) as runner, pytest.raises(UnknownExecution):
        runner.run(RecordReader(client, ReadBudgets(clock=loop.time)).describe("a", **given))
    assert seen == pytest.approx(times)


@pytest.mark.parametrize("call", ["DescribeExecution", "GetExecutionHistory"])
@pytest.mark.parametrize("fault", [error("ThrottlingException"), error("InternalFailure", 500)], ids=["busy", "broken"])
async def test_a_recovery_read_is_made_once_and_not_repeated_when_it_fails(call: str, fault: Script) -> None:
    async with stage() as made:
        made.endpoint.script(call, fault)
        record = made.record
        claimed = record.budgets.describe if call == "DescribeExecution" else record.budgets.history
        with pytest.raises(Unavailable):
            await record.end("exec-1", claimed)
        assert made.endpoint.count(call) == 1


async def test_a_read_waits_only_for_the_quota_that_is_free_first() -> None:
    async with stage() as made:
        made.record.budgets.describe.bucket._tokens = -10_000
        assert made.record.budgets.seconds_to_wait() == 0
        assert made.record.budgets.claim() is made.record.budgets.history
        made.record.budgets.history.bucket._tokens = -10
        assert 0 < made.record.budgets.seconds_to_wait() < 10


@pytest.mark.parametrize(("after", "limit"), [(0, 1000), (7, 100)])
async def test_a_small_page_is_read_if_most_of_the_history_is_known(after: int, limit: int) -> None:
    async with stage() as made:
        made.endpoint.script("GetExecutionHistory", ok(events=[]))
        page = await made.record.history("exec-1", after, None)
        assert (page.entered, page.oldest, page.ended) == ([], 0, False)
        assert made.endpoint.calls[-1][1]["maxResults"] == limit


class Client:
    """A client that has every execution."""

    async def describe(self, execution_id: str) -> Execution:
        return Execution(execution_id, "{}", None, 0.0)


@pytest.mark.parametrize(("wait", "waits"), [(0, False), (9, False), (11, True)])
def test_a_read_waits_for_the_quota_as_long_as_its_caller_can(wait: float, waits: bool) -> None:
    """In virtual time: the next token comes after ten seconds."""

    async def run() -> bool:
        clock = asyncio.get_running_loop().time
        record = RecordReader(cast("Any", Client()), ReadBudgets(describe=Quota(1, 0.1), clock=clock))
        await record.describe("exec-1")
        with contextlib.suppress(Throttled):
            await record.describe("exec-2", wait=wait)
            return True
        return False

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(run()) == waits


@pytest.mark.parametrize(
    ("wait", "foreign", "patience"), [(0.5, False, 3), (10, False, 10), (800, False, 20), (800, True, 3)]
)
async def test_a_request_that_waits_is_patient_with_its_first_read(wait: float, foreign: bool, patience: float) -> None:
    async with stage() as made:
        given: list[float] = []

        async def describe(execution_id: str, *, timeout: float, **_: Any) -> Execution:
            given.append(timeout)
            return Execution(execution_id, "{}", success(1), 0.0)

        made.record._describe = describe  # type: ignore[method-assign]
        await made.bridge.follow("exec-1", wait, foreign=foreign)
        assert given == [patience]

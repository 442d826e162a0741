"""Budgets in virtual time: what a flood of guesses leaves to others, and what is over once it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from service.errors import Throttled, UnknownExecution
from service.stepfunctions.budget import GUESS_SHARE, MAX_CONCURRENT_GUESSES, TOKEN_TIMEOUT_S, Budget
from service.stepfunctions.token_bucket import Quota
from tests.support.virtual_time import VirtualTimeLoop

T = TypeVar("T")


class Api:
    """An action with a budget in virtual time: it takes `latency_s`, and then raises `problem` if there is one."""

    def __init__(self, loop: VirtualTimeLoop, quota: Quota) -> None:
        self.loop = loop
        self.budget = Budget(quota, loop.time)
        self.latency_s = 0.02
        self.problem: Exception | None = None
        self.calls: list[str] = []

    async def call(self, execution_id: str, *, guess: bool = False) -> float:
        """Make one call; return how long it took."""
        began = self.loop.time()

        async def send() -> None:
            self.calls.append(execution_id)
            await asyncio.sleep(self.latency_s)
            if self.problem is not None:
                raise self.problem

        await self.budget.run(send, execution_id, guess=guess)
        return self.loop.time() - began

    async def flood(self, per_second: int, seconds: float) -> list[float | BaseException]:
        """Make guesses at regular intervals."""
        tasks = []
        for _ in range(int(per_second * seconds)):
            tasks.append(asyncio.create_task(self.call("guess", guess=True)))
            await asyncio.sleep(1 / per_second)
        return await asyncio.gather(*tasks, return_exceptions=True)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)


@pytest.fixture
def loop() -> Iterator[VirtualTimeLoop]:
    loop = VirtualTimeLoop()
    yield loop
    loop.close()


READS, STOPS, SMALL = Quota(300, 15), Quota(1000, 200), Quota(4, 2)


@pytest.mark.parametrize(("quota", "per_second"), [(READS, 40), (READS, 200), (STOPS, 400), (SMALL, 40)])
def test_a_flood_of_guesses_leaves_most_of_the_quota(loop: VirtualTimeLoop, quota: Quota, per_second: int) -> None:
    api = Api(loop, quota)
    api.run(api.flood(per_second, 15))
    assert 5 < api.calls.count("guess") <= GUESS_SHARE * (quota.size + quota.refill * 20) + 1


@pytest.mark.parametrize("latency_s", [0.02, 2.5], ids=["usual", "slow"])
def test_known_ids_are_undisturbed_by_a_flood_of_guesses(loop: VirtualTimeLoop, latency_s: float) -> None:
    api = Api(loop, READS)
    api.latency_s = latency_s

    async def both() -> list[float]:
        flood = asyncio.create_task(api.flood(40, 30))
        took = []
        for _ in range(30):
            await asyncio.sleep(max(0.0, 1 - latency_s))
            took.append(await api.call("known"))
        await flood
        return took

    assert max(api.run(both())) <= latency_s + 0.2


def test_a_guess_beyond_the_share_is_told_when_to_retry(loop: VirtualTimeLoop) -> None:
    api = Api(loop, READS)
    refused = [result for result in api.run(api.flood(40, 10)) if isinstance(result, Throttled)]
    assert refused
    assert all(0 < problem.retry_after <= TOKEN_TIMEOUT_S + 1 for problem in refused)


def test_guesses_work_again_soon_after_a_flood(loop: VirtualTimeLoop) -> None:
    api = Api(loop, READS)
    api.run(api.flood(40, 10))
    api.run(asyncio.sleep(1))
    assert api.run(api.call("later", guess=True)) < 1


@pytest.mark.parametrize("guess", [True, False])
def test_many_throttled_calls_are_not_multiplied(loop: VirtualTimeLoop, guess: bool) -> None:
    api = Api(loop, STOPS)
    api.problem = Throttled("no")

    async def all_at_once() -> list[float | BaseException]:
        calls = [api.call(f"exec-{n}", guess=guess) for n in range(450)]
        return await asyncio.gather(*calls, return_exceptions=True)

    assert all(isinstance(result, Throttled) for result in api.run(all_at_once()))
    assert len(api.calls) < (200 if guess else 900)


@pytest.mark.parametrize("guess", [True, False])
def test_a_single_throttled_call_is_repeated_a_few_times(loop: VirtualTimeLoop, guess: bool) -> None:
    api = Api(loop, STOPS)
    api.problem = Throttled("no")
    with pytest.raises(Throttled):
        api.run(api.call("exec-1", guess=guess))
    assert 1 < len(api.calls) < 15


@pytest.mark.parametrize("guess", [True, False])
def test_a_throttled_call_ends_within_its_time(loop: VirtualTimeLoop, guess: bool) -> None:
    api = Api(loop, STOPS)
    api.problem = Throttled("no")
    for _ in range(20):
        began = loop.time()
        with pytest.raises(Throttled):
            api.run(api.call("exec-1", guess=guess))
        assert loop.time() - began <= TOKEN_TIMEOUT_S + api.latency_s


@pytest.mark.parametrize("guess", [True, False])
def test_a_throttled_call_is_repeated_with_the_next_token(loop: VirtualTimeLoop, guess: bool) -> None:
    api = Api(loop, READS)
    api.problem = Throttled("no")
    loop.call_later(0.5, setattr, api, "problem", None)
    assert api.run(api.call("exec-1", guess=guess)) < 2
    assert 1 < len(api.calls) < 6


@pytest.mark.parametrize("problem", [None, UnknownExecution("none")], ids=["found", "unknown"])
def test_a_halved_pace_recovers_with_calls_that_are_not_throttled(
    loop: VirtualTimeLoop, problem: Exception | None
) -> None:
    api = Api(loop, READS)
    api.problem = Throttled("no")
    api.run(api.flood(40, 2))
    api.problem = problem
    lowered = api.budget.bucket._refill_rate
    assert lowered < READS.refill / 4
    api.run(api.flood(2, 60))
    assert api.budget.bucket._refill_rate == READS.refill


def test_a_call_that_fails_or_is_cancelled_gives_its_slot_back(loop: VirtualTimeLoop) -> None:
    api = Api(loop, READS)

    async def fail() -> None:
        api.problem = UnknownExecution("none")
        for _ in range(2 * MAX_CONCURRENT_GUESSES):
            with pytest.raises(UnknownExecution):
                await api.call("guess", guess=True)
        tasks = [asyncio.create_task(api.call("guess", guess=True)) for _ in range(3 * MAX_CONCURRENT_GUESSES)]
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    api.run(fail())
    assert api.budget._guess_slots._value == MAX_CONCURRENT_GUESSES

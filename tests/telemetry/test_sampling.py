from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import pytest

from service.telemetry.sampling import Sampler


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    return clock


@pytest.fixture
def told() -> list[Mapping[str, int]]:
    return []


async def test_what_is_too_much_of_one_kind_is_counted_and_the_rest_is_let_through(
    now: list[float], told: list[Mapping[str, int]]
) -> None:
    sampler = Sampler(told.append, most=3)
    assert [sampler.lets("succeeded") for _ in range(10)] == [True] * 3 + [False] * 7
    assert sampler.lets("unreachable")
    assert [sampler.lets("throttled") for _ in range(5)] == [True] * 3 + [False] * 2
    assert told == []
    now[0] += 1
    assert [sampler.lets("succeeded") for _ in range(4)] == [True] * 3 + [False]
    assert told == [{"succeeded": 7, "throttled": 2}]
    sampler.flush()
    assert told[1:] == [{"succeeded": 1}]


async def test_a_quiet_service_says_nothing_of_what_it_left_out(
    now: list[float], told: list[Mapping[str, int]]
) -> None:
    sampler = Sampler(told.append, most=3)
    for _ in range(20):
        assert sampler.lets("succeeded")
        now[0] += 0.4
    sampler.flush()
    assert told == []


async def test_what_was_left_out_is_told_though_nothing_more_comes(told: list[Mapping[str, int]]) -> None:
    sampler = Sampler(told.append, most=1)
    sampler.lets("succeeded")
    sampler.lets("succeeded")
    async with asyncio.timeout(20):
        while not told:  # noqa: ASYNC110 - a list has no event to wait for
            await asyncio.sleep(0.01)
    assert told == [{"succeeded": 1}]

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
def reported() -> list[Mapping[str, int]]:
    return []


async def test_lines_over_the_limit_of_their_kind_are_counted_and_others_allowed(
    now: list[float], reported: list[Mapping[str, int]]
) -> None:
    sampler = Sampler(reported.append, limit=3)
    assert [sampler.allows("succeeded") for _ in range(10)] == [True] * 3 + [False] * 7
    assert sampler.allows("unreachable")
    assert [sampler.allows("throttled") for _ in range(5)] == [True] * 3 + [False] * 2
    assert reported == []
    now[0] += 1
    assert [sampler.allows("succeeded") for _ in range(4)] == [True] * 3 + [False]
    assert reported == [{"succeeded": 7, "throttled": 2}]
    sampler.flush()
    assert reported[1:] == [{"succeeded": 1}]


async def test_without_suppressed_lines_nothing_is_reported(
    now: list[float], reported: list[Mapping[str, int]]
) -> None:
    sampler = Sampler(reported.append, limit=3)
    for _ in range(20):
        assert sampler.allows("succeeded")
        now[0] += 0.4
    sampler.flush()
    assert reported == []


async def test_suppressed_lines_are_reported_even_if_no_line_follows(reported: list[Mapping[str, int]]) -> None:
    sampler = Sampler(reported.append, limit=1)
    sampler.allows("succeeded")
    sampler.allows("succeeded")
    async with asyncio.timeout(20):
        while not reported:  # noqa: ASYNC110 - a list has no event to wait for
            await asyncio.sleep(0.01)
    assert reported == [{"succeeded": 1}]

from __future__ import annotations

import asyncio
import gc

import pytest
import uvloop

from service.app import event_loop


async def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_work_runs_on_uvloop_and_its_result_is_returned() -> None:
    assert isinstance(event_loop.run(_loop()), uvloop.Loop)


def test_the_loops_clock_is_precise_enough_to_time_a_part_of_a_request() -> None:
    async def readings() -> set[float]:
        clock = asyncio.get_running_loop().time
        return {clock() for _ in range(1000)}

    # A clock that counts milliseconds and advances once per iteration would give one reading.
    assert len(event_loop.run(readings())) > 500


def test_timers_follow_the_loops_clock() -> None:
    async def wait() -> float:
        loop = asyncio.get_running_loop()
        due = loop.time() + 0.05
        called = loop.create_future()
        loop.call_at(due, called.set_result, None)
        async with asyncio.timeout(30):
            await called
        return loop.time() - due

    assert event_loop.run(wait()) > -0.002  # libuv rounds to whole milliseconds


def test_an_exception_in_the_work_is_raised() -> None:
    async def fail() -> None:
        raise LookupError("lost")

    with pytest.raises(LookupError, match="lost"):
        event_loop.run(fail())


def test_a_frozen_heap_is_excluded_from_later_collections() -> None:
    before = gc.get_threshold()
    try:
        event_loop.freeze_heap()
        assert gc.get_freeze_count() > 10_000
        assert gc.get_threshold()[0] > 10_000
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)

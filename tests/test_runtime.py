from __future__ import annotations

import asyncio
import gc

import pytest
import uvloop

from service import runtime


async def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_work_runs_on_the_fast_loop_and_its_result_comes_back() -> None:
    assert isinstance(runtime.run(_loop()), uvloop.Loop)


def test_an_error_of_the_work_comes_out() -> None:
    async def fail() -> None:
        raise LookupError("lost")

    with pytest.raises(LookupError, match="lost"):
        runtime.run(fail())


def test_what_is_there_at_the_start_is_never_looked_at_again() -> None:
    before = gc.get_threshold()
    try:
        runtime.settle()
        assert gc.get_freeze_count() > 10_000
        assert gc.get_threshold()[0] > 10_000
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)

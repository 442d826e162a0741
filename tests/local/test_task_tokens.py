from __future__ import annotations

import asyncio
from typing import Any

import pytest

from service.local.asl.retry import StateError
from service.local.task_tokens import TaskTokens
from tests.local.conftest import until
from tests.support.virtual_time import VirtualTimeLoop


async def test_a_task_is_ended_once_with_a_result_or_an_error() -> None:
    tokens = TaskTokens()
    one, two = (asyncio.create_task(tokens.wait(name, None)) for name in ("one", "two"))
    await until(lambda: len(tokens._waiting) == 2)
    tokens.succeed("one", {"a": 1})
    tokens.fail("two", "E", "why")
    for action, arguments in (
        (tokens.succeed, ("one", 2)),
        (tokens.fail, ("two", "", "")),
        (tokens.heartbeat, ("one",)),
    ):
        with pytest.raises(KeyError):
            action(*arguments)
    assert await one == {"a": 1}
    with pytest.raises(StateError, match="why"):
        await two
    assert not tokens._waiting


async def test_a_task_that_is_cancelled_is_forgotten() -> None:
    tokens = TaskTokens()
    task = asyncio.create_task(tokens.wait("a", 5))
    await until(lambda: tokens._waiting)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    with pytest.raises(KeyError):
        tokens.heartbeat("a")


@pytest.mark.parametrize(("beats", "seconds"), [(0, 10), (3, 28)])
def test_a_task_without_heartbeats_times_out_and_each_heartbeat_gives_it_the_whole_time(
    beats: int, seconds: float
) -> None:
    async def wait() -> float:
        loop = asyncio.get_running_loop()
        tokens, began = TaskTokens(), loop.time()
        task: asyncio.Task[Any] = asyncio.create_task(tokens.wait("a", 10))
        for _ in range(beats):
            await asyncio.sleep(6)
            tokens.heartbeat("a")
        with pytest.raises(StateError, match=r"States\.HeartbeatTimeout.*10 seconds"):
            await task
        return loop.time() - began

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(wait()) == pytest.approx(seconds)

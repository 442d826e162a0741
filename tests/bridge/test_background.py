from __future__ import annotations

import asyncio

from service.bridge.background import BackgroundTasks


async def test_a_task_that_has_ended_takes_no_memory() -> None:
    tasks = BackgroundTasks()
    task = tasks.spawn(asyncio.sleep(0))
    assert len(tasks) == 1
    await task
    await asyncio.sleep(0)
    assert len(tasks) == 0

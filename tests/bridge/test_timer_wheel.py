"""The timer wheel."""

from __future__ import annotations

import asyncio
from typing import Any

from service.bridge.timer_wheel import TICK_S, TimerWheel


async def test_each_item_is_due_at_its_time_or_up_to_one_tick_later() -> None:
    loop = asyncio.get_running_loop()
    due: dict[int, float] = {}
    everything = asyncio.Event()

    def act(item: int) -> None:
        due[item] = loop.time()
        if len(due) == len(when):
            everything.set()

    wheel = TimerWheel(act)
    now = loop.time()
    when = {n: now + n * 0.004 for n in range(-5, 50)}
    for item, moment in when.items():
        wheel.add(moment, item)
    async with asyncio.timeout(20):
        await everything.wait()
    assert all(due[item] >= moment for item, moment in when.items())
    assert len(wheel) == 0


async def test_items_that_are_due_together_share_a_timer() -> None:
    loop = asyncio.get_running_loop()
    wheel: TimerWheel[int] = TimerWheel(print)
    moment = (loop.time() // TICK_S + 100) * TICK_S
    assert len({wheel.add(moment + n * TICK_S / 2000, n) for n in range(1, 1000)}) == 1
    assert len(wheel) == 999


async def test_an_item_that_is_discarded_is_never_due() -> None:
    loop = asyncio.get_running_loop()
    due: list[str] = []
    errors: list[Any] = []
    loop.set_exception_handler(lambda _, context: errors.append(context))
    last = loop.create_future()
    wheel: TimerWheel[str] = TimerWheel(lambda item: last.set_result(None) if item == "last" else due.append(item))
    moment = loop.time() + 2 * TICK_S
    alone, among = wheel.add(moment - TICK_S, "alone"), wheel.add(moment, "among")
    wheel.add(moment, "last")
    wheel.discard(alone, "alone")
    wheel.discard(among, "among")
    wheel.discard(alone, "alone")
    assert len(wheel) == 1
    async with asyncio.timeout(20):
        await last
    assert due == errors == []


async def test_an_item_is_due_where_another_one_was_discarded() -> None:
    loop = asyncio.get_running_loop()
    due = loop.create_future()
    wheel: TimerWheel[str] = TimerWheel(due.set_result)
    moment = loop.time() + 2 * TICK_S
    wheel.discard(wheel.add(moment, "left"), "left")
    wheel.add(moment, "stayed")
    async with asyncio.timeout(5):
        assert await due == "stayed"

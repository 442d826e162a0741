"""Timers in bulk."""

from __future__ import annotations

import asyncio

from service.bridge.timer_wheel import TICK, TimerWheel


async def test_each_item_is_due_at_its_time_or_a_tick_later() -> None:
    loop = asyncio.get_running_loop()
    due: dict[int, float] = {}
    everything = asyncio.Event()

    def act(item: int) -> None:
        due[item] = loop.time()
        if len(due) == len(when):
            everything.set()

    ticks = TimerWheel(act)
    now = loop.time()
    when = {n: now + n * 0.004 for n in range(-5, 50)}
    for item, moment in when.items():
        ticks.add(moment, item)
    async with asyncio.timeout(20):
        await everything.wait()
    assert all(due[item] >= moment for item, moment in when.items())
    assert len(ticks) == 0


async def test_items_that_are_due_together_share_a_timer() -> None:
    loop = asyncio.get_running_loop()
    ticks: TimerWheel[int] = TimerWheel(print)
    moment = (loop.time() // TICK + 100) * TICK
    assert len({ticks.add(moment + n * TICK / 2000, n) for n in range(1, 1000)}) == 1
    assert len(ticks) == 999


async def test_an_item_that_is_discarded_is_never_due() -> None:
    loop = asyncio.get_running_loop()
    due: list[str] = []
    last = loop.create_future()
    ticks: TimerWheel[str] = TimerWheel(lambda item: last.set_result(None) if item == "last" else due.append(item))
    moment = loop.time() + 2 * TICK
    alone, among = ticks.add(moment - TICK, "alone"), ticks.add(moment, "among")
    ticks.add(moment, "last")
    ticks.discard(alone, "alone")
    ticks.discard(among, "among")
    ticks.discard(alone, "alone")
    assert len(ticks) == 1
    async with asyncio.timeout(20):
        await last
    assert due == []

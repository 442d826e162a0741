from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from service.errors import AtCapacity
from service.stepfunctions.slots import Slot, Slots


class Turns:
    """Tasks that wait for a slot, and the order in which they get it."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.order: list[str] = []

    async def queue(self, names: Iterable[str]) -> list[asyncio.Task[None]]:
        """Let tasks queue up, each for the caller that its name begins with."""
        tasks = [asyncio.create_task(self._take(name)) for name in names]
        await asyncio.sleep(0)
        return tasks

    async def _take(self, name: str) -> None:
        await self.slots.acquire(name[0])
        self.order.append(name)

    async def release(self, number: int) -> None:
        for _ in range(number):
            self.slots.release()
            await asyncio.sleep(0)


async def test_waiting_callers_take_turns_and_the_calls_of_each_keep_their_order() -> None:
    turns = Turns(Slots(1))
    await turns.queue(["a0", *(f"a{number}" for number in range(1, 100)), "b1", "b2", "c1"])
    await turns.release(6)
    assert turns.order == ["a0", "a1", "b1", "c1", "a2", "b2", "a3"]


async def test_a_free_slot_is_taken_at_once() -> None:
    slots = Slots(2)
    await slots.acquire(None)
    assert not slots.locked()
    await slots.acquire(None)
    assert slots.locked()
    slots.release()
    assert not slots.locked()


async def test_a_call_that_is_cancelled_while_it_waits_loses_its_turn_and_nothing_else() -> None:
    turns = Turns(Slots(1))
    _, first, *_ = tasks = await turns.queue(["a0", "a1", "b1", "a2"])
    first.cancel()
    tasks[2].cancel()
    await asyncio.sleep(0)
    assert list(turns.slots._queues) == ["a"]
    await turns.release(2)
    assert turns.order == ["a0", "a2"]
    assert not turns.slots.locked()


@pytest.mark.parametrize("cancelled_first", [True, False])
async def test_a_slot_that_a_cancelled_call_was_just_given_goes_to_the_next_one(cancelled_first: bool) -> None:
    turns = Turns(Slots(1))
    _, first, _ = await turns.queue(["a0", "a1", "b1"])
    for step in (first.cancel, turns.slots.release) if cancelled_first else (turns.slots.release, first.cancel):
        step()
    await asyncio.gather(first, return_exceptions=True)
    await asyncio.sleep(0)
    assert turns.order == ["a0", "b1"]
    turns.slots.release()
    assert not turns.slots.locked()
    assert not turns.slots._queues


async def test_a_slot_that_does_not_come_in_time_is_refused() -> None:
    slots = Slots(1)
    async with Slot(slots, 0, 0, None):
        with pytest.raises(AtCapacity):
            async with Slot(slots, asyncio.get_running_loop().time() + 0.01, 0, "alice"):
                pass
    assert not slots.locked()
    assert not slots._queues

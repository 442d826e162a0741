"""The feed of states, in virtual time, with a simulated record."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from service.bridge import state_feed
from service.bridge.state_feed import StateFeed
from service.errors import Throttled
from service.stepfunctions.reader import RecordReader
from service.stepfunctions.records import HistoryPage
from tests.support.virtual_time import VirtualTimeLoop

PAGE = 10


class Record:
    """Histories in which every second event is the entry into a state."""

    def __init__(self) -> None:
        self.events = {"one": 5, "two": 5}
        self.ended: set[str] = set()
        self.redrives = 0
        self.errors: list[Exception] = []
        self.reads: list[tuple[float, str, int]] = []
        self.kept = True
        self.budgets = self

    async def claim_history(self) -> None:
        await asyncio.sleep(0.05)

    async def history(self, execution_id: str, after: int, next_token: str | None) -> HistoryPage:
        self.reads.append((asyncio.get_running_loop().time(), execution_id, after))
        if self.errors:
            raise self.errors.pop()
        newest = int(next_token or self.events[execution_id])
        numbers = range(newest, max(newest - PAGE, 0), -1)
        entered = [(number, f"State{number}") for number in numbers if number % 2 == 0]
        rest = str(numbers[-1] - 1) if numbers[-1] > 1 else None
        return HistoryPage(entered, numbers[-1], execution_id in self.ended, rest, self.redrives)


class Stage:
    def __init__(self) -> None:
        self.record = Record()
        self.ended: list[str] = []
        self.redrives = 0
        self.feed = StateFeed(cast("RecordReader", self.record), self.ended.append, lambda _: self.redrives)
        self.reported: list[tuple[str, int, str]] = []

    def on_state(self, *state: Any) -> None:
        self.reported.append(state)

    @property
    def numbers(self) -> list[int]:
        return [number for _, number, _ in self.reported]


def play(scene: Callable[[Stage], Coroutine[Any, Any, None]]) -> Stage:
    """Play a scene in virtual time."""

    async def run() -> None:
        async with made.feed:
            await scene(made)
        assert not made.feed._tasks

    made = Stage()
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(run())
    return made


def test_each_state_is_reported_once_in_the_order_of_the_history() -> None:
    async def scene(it: Stage) -> None:
        with it.feed.watching("one", 0, it.on_state):
            await asyncio.sleep(3)
            it.record.events["one"] = 8
            await asyncio.sleep(3)

    assert play(scene).reported == [("one", number, f"State{number}") for number in (2, 4, 6, 8)]


def test_an_end_before_the_last_redrive_is_no_end() -> None:
    async def scene(it: Stage) -> None:
        it.redrives = 1
        it.record.ended.add("one")
        with it.feed.watching("one", 5, it.on_state):
            await asyncio.sleep(3)
            assert it.ended == []
            it.record.redrives, it.record.events["one"] = 1, 8
            await asyncio.sleep(3)

    made = play(scene)
    assert (made.numbers, made.ended) == ([6, 8], ["one"])


def test_a_stream_that_is_taken_up_again_gets_only_what_came_after_its_last_event() -> None:
    async def scene(it: Stage) -> None:
        with it.feed.watching("one", 2, it.on_state):
            await asyncio.sleep(2)

    assert play(scene).numbers == [4]


def test_two_streams_of_one_execution_share_its_reads_and_each_gets_what_it_misses() -> None:
    async def scene(it: Stage) -> None:
        with it.feed.watching("one", 4, it.on_state), it.feed.watching("one", 0, it.on_state):
            await asyncio.sleep(0.5)
            assert len(it.record.reads) == 1
            it.record.events["one"] = 6
            await asyncio.sleep(1)

    assert sorted(play(scene).numbers) == [2, 4, 6, 6]


def test_a_long_history_is_read_back_to_the_last_known_event_and_no_further() -> None:
    async def scene(it: Stage) -> None:
        it.record.events["one"] = 100
        with it.feed.watching("one", 75, it.on_state):
            await asyncio.sleep(0.5)
        assert len(it.record.reads) == 3

    assert play(scene).numbers == list(range(76, 101, 2))


def test_all_of_a_long_history_is_reported_to_a_new_stream() -> None:
    async def scene(it: Stage) -> None:
        it.record.events["one"] = 95
        with it.feed.watching("one", 0, it.on_state):
            await asyncio.sleep(0.9)

    assert play(scene).numbers == list(range(2, 95, 2))


def test_executions_are_read_in_turn_and_each_once_a_second_at_most() -> None:
    async def scene(it: Stage) -> None:
        with it.feed.watching("one", 0, it.on_state), it.feed.watching("two", 0, it.on_state):
            await asyncio.sleep(10.5)
        for name in ("one", "two"):
            times = [time for time, read, _ in it.record.reads if read == name]
            assert 9 <= len(times) <= 11
            assert min(after - before for before, after in itertools.pairwise(times)) >= 1

    play(scene)


@pytest.mark.parametrize("error", [Throttled("no"), RuntimeError("a bug")])
def test_a_read_that_fails_is_repeated_and_does_not_hold_up_the_others(error: Exception) -> None:
    async def scene(it: Stage) -> None:
        it.record.errors = [error]
        with (
            capture_logs() as logs,
            it.feed.watching("one", 0, it.on_state),
            it.feed.watching("two", 0, it.on_state),
        ):
            await asyncio.sleep(0.5)
            assert [name for name, *_ in it.reported] == ["two", "two"]
            await asyncio.sleep(1)
        assert [line["event"] for line in logs] == [
            "states_delayed" if isinstance(error, Throttled) else "states_failed"
        ]

    assert play(scene).numbers == [2, 4, 2, 4]


def test_an_end_in_the_history_is_passed_on_and_ends_the_reads() -> None:
    async def scene(it: Stage) -> None:
        it.record.ended.add("one")
        with it.feed.watching("one", 0, it.on_state):
            await asyncio.sleep(5)

    it = play(scene)
    assert (it.ended, len(it.record.reads), it.numbers) == (["one"], 1, [2, 4])


def test_an_execution_that_nobody_watches_any_more_is_not_read() -> None:
    async def scene(it: Stage) -> None:
        with it.feed.watching("one", 0, it.on_state):
            pass
        await asyncio.sleep(5)
        assert len(it.feed) == 0
        with it.feed.watching("two", 0, it.on_state):
            await asyncio.sleep(0.5)

    assert [name for _, name, _ in play(scene).record.reads] == ["two"]


def test_nothing_is_read_of_a_machine_that_keeps_no_history() -> None:
    async def scene(it: Stage) -> None:
        it.record.kept = False
        with it.feed.watching("one", 0, it.on_state):
            await asyncio.sleep(5)

    assert play(scene).record.reads == []


def test_the_longest_history_fits_into_the_pages_of_one_read() -> None:
    assert state_feed.MAX_PAGES * 1000 >= 25_000

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from service.outcomes import Failed, Outcome, Succeeded
from service.replies import Replies


def succeeded(execution_id: str, output: Any = None) -> str:
    return json.dumps({"id": execution_id, "status": "SUCCEEDED", "output": output})


async def test_a_reply_finds_its_own_waiter() -> None:
    replies = Replies()
    with replies.expect("a") as first, replies.expect("b") as second:
        replies.deliver(succeeded("b", {"n": 1}))
        assert await second == Succeeded({"n": 1})
        assert not first.done()
        replies.deliver('{"id": "a", "status": "FAILED", "error": "Broken", "cause": "private"}')
        assert await first == Failed("Broken")
    assert (len(replies), replies.received, replies.unmatched, replies.malformed) == (0, 2, 0, 0)


async def test_a_waiter_leaves_the_table_when_its_block_raises() -> None:
    replies = Replies()
    with pytest.raises(ZeroDivisionError), replies.expect("a"):
        raise ZeroDivisionError
    assert len(replies) == 0


async def test_a_second_waiter_for_the_same_execution_is_refused_and_the_first_stays() -> None:
    replies = Replies()
    with replies.expect("a") as waiter:
        with pytest.raises(ValueError, match="already"), replies.expect("a"):
            pass
        replies.deliver(succeeded("a"))
        assert await waiter == Succeeded(None)


async def test_repeated_late_and_unknown_replies_change_nothing_and_are_counted() -> None:
    replies = Replies()
    with replies.expect("a") as waiter:
        replies.deliver(succeeded("a", 1))
        replies.deliver(succeeded("a", 2))
        replies.deliver(succeeded("unknown"))
        assert await waiter == Succeeded(1)
    replies.deliver(succeeded("a", 3))
    assert replies.unmatched == 3


async def test_progress_is_counted_and_ends_nothing() -> None:
    replies = Replies()
    with replies.expect("a") as waiter:
        replies.deliver('{"id": "a", "status": "RUNNING", "progress": {"step": 1}}')
        assert not waiter.done()
    assert replies.progress == 1


@pytest.mark.parametrize(
    "event",
    [
        "",
        "{",
        "null",
        "3",
        '"text"',
        "[]",
        "{}",
        '{"id": "a"}',
        '{"status": "SUCCEEDED", "output": 1}',
        '{"id": "a", "status": "SUCCEEDED"}',
        '{"id": "a", "status": "FAILED"}',
        '{"id": "a", "status": "FAILED", "error": {}}',
        '{"id": "a", "status": "DONE", "output": 1}',
        '{"id": "a", "status": {}, "output": 1}',
        '{"id": ["a"], "status": "SUCCEEDED", "output": 1}',
    ],
)
async def test_an_event_that_is_no_reply_is_counted_as_malformed(event: str) -> None:
    replies = Replies()
    with replies.expect("a") as waiter:
        replies.deliver(event)
        assert not waiter.done()
    assert (replies.malformed, replies.unmatched) == (1, 0)


async def test_released_waiters_get_no_outcome_and_keep_one_they_have() -> None:
    replies = Replies()
    with replies.expect("a") as first, replies.expect("b") as second:
        replies.deliver(succeeded("a", 1))
        replies.release()
        assert await first == Succeeded(1)
        assert await second is None


class Table(RuleBasedStateMachine):
    """Any interleaving of what can happen to the table, beside a model of what each waiter should have got."""

    numbers = st.integers(0, 3)

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.replies = Replies()
        self.blocks: dict[int, ExitStack] = {}
        self.futures: dict[int, asyncio.Future[Outcome | None]] = {}
        self.expected: dict[int, Outcome | None] = {}

    def teardown(self) -> None:
        for block in self.blocks.values():
            block.close()
        assert len(self.replies) == 0
        self.loop.close()

    @rule(number=numbers)
    def expect(self, number: int) -> None:
        async def enter() -> None:
            block = ExitStack()
            self.futures[number] = block.enter_context(self.replies.expect(str(number)))
            self.blocks[number] = block

        if number in self.blocks:
            with pytest.raises(ValueError, match="already"):
                self.loop.run_until_complete(enter())
        else:
            self.loop.run_until_complete(enter())

    @rule(number=numbers)
    def leave(self, number: int) -> None:
        if number in self.blocks:
            self.blocks.pop(number).close()
            self.futures.pop(number)
            self.expected.pop(number, None)

    @rule(number=numbers, outcome=st.sampled_from([Succeeded(1), Succeeded({"a": []}), Failed("E")]))
    def deliver(self, number: int, outcome: Succeeded | Failed) -> None:
        if isinstance(outcome, Succeeded):
            self.replies.deliver(succeeded(str(number), outcome.output))
        else:
            self.replies.deliver(json.dumps({"id": str(number), "status": "FAILED", "error": outcome.error}))
        if number in self.blocks:
            self.expected.setdefault(number, outcome)

    @rule(text=st.text(max_size=20))
    def deliver_garbage(self, text: str) -> None:
        self.replies.deliver(text)

    @rule()
    def release(self) -> None:
        self.replies.release()
        for number in self.blocks:
            self.expected.setdefault(number, None)

    @invariant()
    def each_waiter_has_its_own_outcome_and_no_other(self) -> None:
        assert len(self.replies) == len(self.blocks)
        assert {number: future.result() for number, future in self.futures.items() if future.done()} == self.expected


test_any_interleaving_gives_each_waiter_at_most_one_outcome_and_leaves_nothing = Table.TestCase

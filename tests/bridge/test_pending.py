from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from service.bridge import pending as pending_module
from service.bridge.pending import PendingReplies
from service.bridge.waiter import Waiter
from service.stepfunctions.outcomes import Aborted, Failed, Outcome, Succeeded, TimedOut
from tests.support.outcomes import success


def unexpected(_execution_id: str) -> None:
    raise AssertionError


def succeeded(execution_id: str, output: Any = None) -> str:
    return json.dumps({"id": execution_id, "status": "SUCCEEDED", "output": output})


async def test_a_reply_finds_its_own_waiter() -> None:
    replies = PendingReplies()
    with replies.expect("a") as first, replies.expect("b") as second:
        replies.deliver(succeeded("b", {"n": 1}))
        assert await second == success({"n": 1})
        assert not first.done()
        replies.deliver('{"id": "a", "status": "FAILED", "error": "Broken", "cause": "private"}')
        assert await first == Failed("Broken")
    assert (len(replies), replies.result, replies.unknown, replies.malformed) == (0, 2, 0, 0)


async def test_a_result_is_exactly_the_text_that_the_workflow_wrote() -> None:
    replies = PendingReplies()
    text = '{"n": 12345678901234567890123, "x": 1e400, "y": 1.0}'
    with replies.expect("a") as waiter:
        replies.deliver(f'{{"output" : {text} , "status": "SUCCEEDED", "id": "a"}}')
        assert await waiter == Succeeded(text.encode())


async def test_a_waiter_leaves_the_table_when_its_block_raises() -> None:
    replies = PendingReplies()
    with pytest.raises(ZeroDivisionError), replies.expect("a"):
        raise ZeroDivisionError
    assert len(replies) == 0


async def test_all_waiters_for_an_execution_get_its_outcome() -> None:
    replies = PendingReplies()
    with replies.expect("a") as first:
        with replies.expect("a") as second:
            pass
        assert "a" in replies
        with replies.expect("a") as third:
            replies.deliver(succeeded("a", 1))
            assert await first == await third == success(1)
        assert not second.done()
    assert len(replies) == 0


async def test_a_waiter_that_arrives_during_delivery_gets_the_same_outcome() -> None:
    replies = PendingReplies()
    with replies.expect("a"):
        replies.deliver(succeeded("a", 1))
        with replies.expect("a") as late:
            assert late.done()
            assert await late == success(1)
            assert late.resolved_at is not None


async def test_a_waiter_for_a_later_run_does_not_get_the_outcome_of_the_run_before() -> None:
    replies = PendingReplies()
    with replies.expect("a") as first:
        assert replies.resolve("a", Aborted(), 0)
        replies.redriven("a", 1)
        with replies.expect("a") as second:
            assert (first.result(), second.done()) == (Aborted(), False)
            assert not replies.resolve("a", Aborted(), 0)
            assert not replies.resolve("a", Aborted())
            assert replies.resolve("a", TimedOut(), 1)
            assert second.result() == TimedOut()


async def test_once_a_redrive_is_known_the_ends_before_it_no_longer_count() -> None:
    replies = PendingReplies()
    with replies.expect("a") as waiter:
        replies.redriven("a", 2)
        replies.redriven("a", 1)
        assert not replies.resolve("a", Aborted(), 1)
        assert replies.resolve("a", TimedOut(), 3)
        assert waiter.result() == TimedOut()


async def test_a_limited_number_of_redriven_executions_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_module, "MAX_REMEMBERED_EXECUTIONS", 2)
    replies = PendingReplies()
    for name in ("a", "b", "a", "c"):
        replies.redriven(name, 1)
    assert [replies.redrives(name) for name in ("a", "b", "c")] == [1, 0, 1]


@pytest.mark.parametrize("value", ['"1"', "1.5", "null", "[]"])
async def test_a_reply_whose_number_of_redrives_is_none_does_not_say_its_run(value: str) -> None:
    replies = PendingReplies()
    reported: list[str] = []
    replies.on_end_reported = reported.append
    with replies.expect("a", redrives=1) as waiter:
        replies.deliver(f'{{"id": "a", "status": "FAILED", "redrives": {value}}}')
        assert (waiter.done(), reported, replies.announced) == (False, ["a"], 1)
    with replies.expect("a") as waiter:
        replies.deliver(f'{{"id": "a", "status": "ABORTED", "redrives": {value}}}')
        assert waiter.result() == Aborted()


async def test_a_success_without_a_result_is_announced_for_pending_executions() -> None:
    replies = PendingReplies()
    announced: list[str] = []
    replies.on_ended = announced.append
    with replies.expect("a") as waiter:
        replies.deliver('{"id": "a", "status": "SUCCEEDED", "redrives": 0}')
        replies.deliver('{"id": "c", "status": "SUCCEEDED"}')
        assert not waiter.done()
    assert announced == ["a"]
    assert (replies.announced, replies.unknown, replies.malformed) == (2, 0, 0)


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        ({"status": "SUCCEEDED", "outputText": ' {"n": 1.0, "m":1e400} '}, Succeeded(b'{"n": 1.0, "m":1e400}')),
        ({"status": "SUCCEEDED", "outputText": '"\\ud83d"'}, Succeeded(b'"\\ud83d"')),
        ({"status": "SUCCEEDED", "outputText": '"\ud83d"'}, Succeeded(b'"\\ud83d"')),
        ({"status": "FAILED", "error": "OutOfStock"}, Failed("OutOfStock")),
        ({"status": "FAILED"}, Failed("")),
        ({"status": "TIMED_OUT", "error": "States.Timeout"}, TimedOut()),
        ({"status": "ABORTED"}, Aborted()),
    ],
)
async def test_what_the_relay_reports_is_the_outcome(event: dict[str, str], outcome: Outcome) -> None:
    replies = PendingReplies()
    with replies.expect("a") as waiter:
        replies.deliver(json.dumps({"id": "a", "redrives": 0} | event))
        assert await waiter == outcome
    assert replies.result == 1


@pytest.mark.parametrize("text", ["", "{", "not JSON", 7, {}])
async def test_an_output_text_that_is_not_json_is_malformed(text: object) -> None:
    replies = PendingReplies()
    with replies.expect("a") as waiter:
        replies.deliver(json.dumps({"id": "a", "status": "SUCCEEDED", "outputText": text}))
        assert not waiter.done()
    assert replies.malformed == 1


async def test_progress_reaches_the_waiters_that_want_it() -> None:
    replies = PendingReplies()
    seen: list[tuple[str, bytes]] = []

    def on_progress(execution_id: str, progress: bytes) -> None:
        seen.append((execution_id, progress))

    event = '{"id": "a", "status": "RUNNING", "progress": [1e400, {"n" : 1}]}'
    with (
        replies.expect("a", on_progress=on_progress),
        replies.expect("a"),
        replies.expect("b", on_progress=on_progress),
    ):
        replies.deliver(event)
        replies.deliver('{"id": "a", "status": "RUNNING"}')
        replies.deliver(succeeded("a"))
        replies.deliver(event)
    assert seen == [("a", b'[1e400, {"n" : 1}]'), ("a", b"null")]


async def test_the_earliest_deadline_of_the_remaining_waiters_counts() -> None:
    replies = PendingReplies()
    assert replies.deadline("a") is None
    with replies.expect("a", 20), replies.expect("a", 10), replies.expect("b", 5):
        assert replies.deadline("a") == 10
        replies.deliver(succeeded("a"))
        assert replies.deadline("a") is None
        assert replies.pending() == ["b"]


async def test_a_waiter_causes_one_lookup_before_its_deadline() -> None:
    loop = asyncio.get_running_loop()
    replies = PendingReplies()
    lookups: list[float] = []
    replies.on_deadline_near = lambda execution_id: lookups.append(loop.time() if execution_id == "a" else 0)
    end = loop.time() + 1.2
    with replies.expect("a", end) as waiter:
        assert await waiter.until_deadline() is None
    assert loop.time() >= end
    assert len(lookups) == 1
    assert end - 1.2 / 4 <= lookups[0] < end  # not at once, although a lookup usually comes a second before
    assert len(replies.deadline_timers) == 0


async def test_a_waiter_that_is_answered_leaves_no_timer_behind() -> None:
    replies = PendingReplies()
    with replies.expect("a", asyncio.get_running_loop().time() + 30) as waiter:
        waiting = waiter.until_deadline()
        assert len(replies.deadline_timers) == 1
        replies.resolve("a", success(1))
        assert await waiting == success(1)
    assert len(replies.deadline_timers) == 0


async def test_a_wait_of_less_than_a_second_causes_no_lookup() -> None:
    replies = PendingReplies()
    replies.on_deadline_near = unexpected
    with replies.expect("a", asyncio.get_running_loop().time() + 0.05) as waiter:
        assert await waiter.until_deadline() is None


async def test_duplicate_late_and_unknown_replies_change_nothing_and_are_counted() -> None:
    replies = PendingReplies()
    with replies.expect("a") as waiter:
        replies.deliver(succeeded("a", 1))
        replies.deliver(succeeded("a", 2))
        replies.deliver(succeeded("unknown"))
        assert await waiter == success(1)
    replies.deliver(succeeded("a", 3))
    with replies.expect("b"):
        pass
    replies.deliver(succeeded("b"))
    assert (replies.result, replies.duplicate, replies.late, replies.unknown) == (1, 2, 1, 1)


async def test_a_limited_number_of_past_executions_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_module, "MAX_REMEMBERED_EXECUTIONS", 2)
    replies = PendingReplies()
    for execution_id in "abac":
        with replies.expect(execution_id):
            pass
    assert [replies.was_pending(execution_id) for execution_id in "abc"] == [True, False, True]
    for execution_id in "abc":
        replies.deliver(succeeded(execution_id))
    assert (replies.late, replies.unknown) == (2, 1)


async def test_progress_is_counted_and_ends_nothing() -> None:
    replies = PendingReplies()
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
        '{"id": "a", "status": "DONE", "output": 1}',
        '{"id": "a", "status": {}, "output": 1}',
        '{"id": ["a"], "status": "SUCCEEDED", "output": 1}',
        '{"id": "a", "status": "SUCCEEDED", "output": 01}',
        '{"id": "a", "status": "SUCCEEDED", "output": ' + "[" * 20_000 + "]" * 20_000 + "}",
    ],
)
async def test_an_event_that_is_not_a_reply_is_counted_as_malformed(event: str) -> None:
    replies = PendingReplies()
    with replies.expect("a") as waiter:
        replies.deliver(event)
        assert not waiter.done()
    assert (replies.malformed, replies.unknown) == (1, 0)


async def test_released_waiters_get_no_outcome_and_keep_one_they_have() -> None:
    replies = PendingReplies()
    with replies.expect("a") as first, replies.expect("b") as second:
        replies.deliver(succeeded("a", 1))
        replies.release()
        assert await first == success(1)
        assert await second is None


@dataclass
class Entry:
    """One waiter, and the outcome it should have."""

    execution_id: str
    block: ExitStack
    waiter: Waiter
    expected: list[Outcome | None] = field(default_factory=list)


class Table(RuleBasedStateMachine):
    """Any interleaving of the events of the table, with a model of the outcome that each waiter should have."""

    ids = st.sampled_from(["a", "b", "c"])

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.replies = PendingReplies()
        self.entries: list[Entry] = []

    def teardown(self) -> None:
        for entry in self.entries:
            entry.block.close()
        assert len(self.replies) == 0
        self.loop.close()

    def waiting(self, execution_id: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.execution_id == execution_id and not entry.waiter.done()]

    @rule(execution_id=ids)
    def expect(self, execution_id: str) -> None:
        async def enter() -> Entry:
            block = ExitStack()
            return Entry(execution_id, block, block.enter_context(self.replies.expect(execution_id)))

        entry = self.loop.run_until_complete(enter())
        outcomes = [other.expected for other in self.entries if other.execution_id == execution_id]
        entry.expected = next(([outcome] for [*_, outcome] in filter(None, outcomes) if outcome is not None), [])
        self.entries.append(entry)

    @rule(number=st.integers(0, 5))
    def leave(self, number: int) -> None:
        if number < len(self.entries):
            self.entries.pop(number).block.close()

    @rule(number=st.integers(0, 5))
    def cancel(self, number: int) -> None:
        if number < len(self.entries) and self.entries[number].waiter.cancel():
            self.entries.pop(number).block.close()

    @rule(number=st.integers(0, 5))
    def reach_the_deadline(self, number: int) -> None:
        if number < len(self.entries) and not self.entries[number].waiter.done():
            self.entries[number].waiter._expire()
            self.entries[number].expected = [None]

    @rule(execution_id=ids, outcome=st.sampled_from([success(1), success({"a": []}), Failed("E")]))
    def deliver(self, execution_id: str, outcome: Succeeded | Failed) -> None:
        waiting = self.waiting(execution_id)
        if isinstance(outcome, Succeeded):
            self.replies.deliver(succeeded(execution_id, json.loads(outcome.output)))
        else:
            self.replies.deliver(json.dumps({"id": execution_id, "status": "FAILED", "error": outcome.error}))
        for entry in waiting:
            entry.expected = [outcome]

    @rule(text=st.text(max_size=20))
    def deliver_garbage(self, text: str) -> None:
        self.replies.deliver(text)

    @rule()
    def release(self) -> None:
        for entry in self.entries:
            if not entry.waiter.done():
                entry.expected = [None]
        self.replies.release()

    @invariant()
    def each_waiter_has_its_own_outcome_and_no_other(self) -> None:
        assert len(self.replies) == len({entry.execution_id for entry in self.entries})
        for entry in self.entries:
            assert ([entry.waiter.result()] if entry.waiter.done() else []) == entry.expected


test_any_interleaving_gives_each_waiter_at_most_one_outcome_and_leaves_nothing = Table.TestCase


@pytest.mark.parametrize("surrogate", ["\\ud800", "\ud800"])
async def test_a_lone_surrogate_anywhere_in_a_reply_does_not_make_it_malformed(surrogate: str) -> None:
    replies, seen = PendingReplies(), []
    with replies.expect("a", on_progress=lambda _, progress: seen.append(progress)) as first:
        replies.deliver(f'{{"id": "a", "status": "RUNNING", "progress": "{surrogate}"}}')
        replies.deliver(f'{{"id": "a", "status": "SUCCEEDED", "output": ["{surrogate}", 1.50], "more": 1}}')
        assert await first == Succeeded(b'["\\ud800", 1.5]')
    assert seen == [b'"\\ud800"']
    replies.deliver(f'{{"id": "{surrogate}", "status": "SUCCEEDED", "output": 1}}')
    replies.deliver(f'{{"id": 5, "status": "SUCCEEDED", "output": "{surrogate}"}}')
    assert (replies.result, replies.unknown, replies.malformed) == (1, 1, 1)

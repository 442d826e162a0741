from __future__ import annotations

from service.local.view import Journal


def journal_of(count: int, max_entries: int = 3) -> Journal:
    journal = Journal(max_entries)
    for number in range(1, count + 1):
        journal.sent(number, "")
    return journal


def numbers(journal: Journal, since: int) -> tuple[list[int], int]:
    entries, missed = journal.entries_after(since)
    return [entry["connection"] for entry in entries], missed


def test_a_follower_gets_the_entries_after_the_last_one_it_has_seen() -> None:
    journal = journal_of(3)
    assert numbers(journal, 0) == ([1, 2, 3], 0)
    assert numbers(journal, 2) == ([3], 0)
    assert numbers(journal, 3) == ([], 0)


def test_the_oldest_entries_are_dropped_and_counted_as_missed() -> None:
    journal = journal_of(10)
    assert journal.last_number == 10
    assert numbers(journal, 0) == ([8, 9, 10], 7)
    assert numbers(journal, 6) == ([8, 9, 10], 1)
    assert numbers(journal, 7) == ([8, 9, 10], 0)


def test_a_long_text_is_shortened() -> None:
    journal = Journal()
    journal.sent(1, "x" * 1_000_000)
    assert journal.entries_after(0)[0][0]["text"] == "x" * 1000 + "\u2026"


def test_the_authorization_of_a_frame_is_left_out() -> None:
    journal = Journal()
    journal.received(1, {"type": "subscribe", "authorization": {"X-Amz-Security-Token": "planted-secret"}})
    assert journal.entries_after(0)[0][0]["text"] == '{"type":"subscribe","authorization":"..."}'


def test_the_text_of_a_frame_that_is_not_an_object_is_left_out() -> None:
    journal = Journal()
    journal.received(1, {})
    assert journal.entries_after(0)[0][0]["text"] == "(not a JSON object)"


def test_followers_are_notified_only_while_they_follow() -> None:
    journal = Journal()
    with journal.follow() as changed:
        assert not changed.is_set()
        journal.opened(1)
        assert changed.is_set()
        changed.clear()
    journal.opened(2)
    assert not changed.is_set()

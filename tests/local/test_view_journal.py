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


def test_a_follower_gets_what_came_after_the_last_entry_that_it_has_seen() -> None:
    journal = journal_of(3)
    assert numbers(journal, 0) == ([1, 2, 3], 0)
    assert numbers(journal, 2) == ([3], 0)
    assert numbers(journal, 3) == ([], 0)


def test_the_oldest_entries_are_forgotten_and_a_follower_learns_how_many_it_missed() -> None:
    journal = journal_of(10)
    assert journal.last_number == 10
    assert numbers(journal, 0) == ([8, 9, 10], 7)
    assert numbers(journal, 6) == ([8, 9, 10], 1)
    assert numbers(journal, 7) == ([8, 9, 10], 0)


def test_a_long_text_is_cut_so_that_the_whole_is_bounded() -> None:
    journal = Journal()
    journal.sent(1, "x" * 1_000_000)
    assert journal.entries_after(0)[0][0]["text"] == "x" * 1000 + "\u2026"


def test_what_authorises_a_frame_is_left_out() -> None:
    journal = Journal()
    journal.received(1, {"type": "subscribe", "authorization": {"X-Amz-Security-Token": "planted-secret"}})
    assert journal.entries_after(0)[0][0]["text"] == '{"type":"subscribe","authorization":"..."}'


def test_a_frame_that_is_no_object_is_not_repeated() -> None:
    journal = Journal()
    journal.received(1, {})
    assert journal.entries_after(0)[0][0]["text"] == "(not a JSON object)"


def test_a_bell_rings_for_those_who_follow_and_only_as_long_as_they_do() -> None:
    journal = Journal()
    with journal.follow() as changed:
        assert not changed.is_set()
        journal.opened(1)
        assert changed.is_set()
        changed.clear()
    journal.opened(2)
    assert not changed.is_set()

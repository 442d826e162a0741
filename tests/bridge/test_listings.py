from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from service.bridge.listings import START_TOLERANCE_S, Listings
from service.errors import Throttled
from service.stepfunctions.reader import RecordReader
from service.stepfunctions.records import Page

UNKNOWN = float("-inf")


class Record:
    """Lists these pages, each with the date of the oldest start on it; None is a page that is throttled."""

    def __init__(self, *pages: tuple[str, float] | None) -> None:
        self._pages = pages
        self.calls = 0

    async def running(self, next_token: str | None, *_: float) -> Page:
        self.calls += 1
        number = int(next_token or 0)
        page = self._pages[number]
        if page is None:
            raise Throttled("Rate exceeded.")
        more = str(number + 1) if number + 1 < len(self._pages) else None
        return Page(page[0].split(), more, page[1])


async def judged(
    record: Record, started: Mapping[str, float], *, joining: Mapping[str, int] | None = None
) -> tuple[list[tuple[set[str], set[str]]], set[str]]:
    """List, and return what runs and what does not by page, and what was not determined.

    The executions `joining` are waited for from a call on, and are not in its response; all others from the beginning.
    """
    listings = Listings()
    late = joining or {}

    def arrived() -> Iterator[tuple[str, float]]:
        return ((key, started[key]) for key, call in late.items() if record.calls >= call)

    reader = cast(RecordReader, cast(Any, record))
    assert listings.begin(reader)
    left = {key: start for key, start in started.items() if key not in late}
    found = []
    async for running, ended in listings.pages(reader, left, arrived):
        found.append((running, ended))
    assert not listings.under_way(reader)
    return found, set(left)


async def test_an_execution_has_ended_once_a_page_goes_back_beyond_its_start() -> None:
    record = Record(("a b", 80.0), ("c", 60.0), ("d", 40.0))
    assert await judged(record, {"a": 99.0, "new": 90.0, "middle": 70.0, "old": 50.0}) == (
        [({"a"}, {"new"}), (set(), {"middle"}), (set(), {"old"})],
        set(),
    )


@pytest.mark.parametrize("started_at", [UNKNOWN, 50.0, 80.0, 80.0 + START_TOLERANCE_S])
async def test_an_execution_whose_page_may_still_come_is_not_judged_before_it(started_at: float) -> None:
    record = Record(("a", 80.0), ("b x", 10.0), ("c", 5.0))
    assert await judged(record, {"x": started_at, "old": 1.0}) == (
        [(set(), set()), ({"x"}, set()), (set(), {"old"})],
        set(),
    )


async def test_an_execution_without_a_date_has_ended_if_no_page_shows_it() -> None:
    assert await judged(Record(("a", 80.0), ("", float("inf"))), {"x": UNKNOWN}) == (
        [(set(), set()), (set(), {"x"})],
        set(),
    )


async def test_a_listing_ends_once_everything_is_judged() -> None:
    found, left = await judged(Record(("a", 80.0), None), {"a": 90.0, "b": 90.0})
    assert (found, left) == ([({"a"}, {"b"})], set())


async def test_what_joins_during_a_listing_is_judged_unless_its_page_may_have_passed() -> None:
    record = Record(("first", 80.0), ("second runs", 60.0), ("", 40.0))
    started = {"old": 1.0, "passed": 90.0, "just": 80.0, "runs": 70.0, "ended": 65.0, "unknown": UNKNOWN}
    found, left = await judged(record, started, joining={key: 1 for key in started if key != "old"})
    assert found == [(set(), set()), ({"runs"}, {"ended"}), (set(), {"old"})]
    assert left == set()


async def test_a_listing_that_fails_leaves_the_rest_undetermined() -> None:
    record = Record(("a", 80.0), None)
    with capture_logs() as logs:
        assert await judged(record, {"a": 90.0, "b": 90.0, "c": 50.0, "d": UNKNOWN}) == (
            [({"a"}, {"b"})],
            {"c", "d"},
        )
    assert [(line["event"], line["missing"]) for line in logs] == [("list_executions_failed", 2)]

from __future__ import annotations

from service.bridge.in_flight import InFlightCount


def test_requests_are_counted_in_all_and_by_caller_until_they_end() -> None:
    count = InFlightCount()
    for caller in ("alice", "bob", "alice", None):
        count.begin(caller)
    assert (count.total, count.of("alice"), count.of("bob")) == (4, 2, 1)
    count.end("alice")
    count.end(None)
    assert (count.total, count.of("alice"), count.of("bob")) == (2, 1, 1)


def test_requests_of_any_number_of_callers_leave_nothing_behind() -> None:
    count = InFlightCount()
    for number in range(1000):
        count.begin(f"caller {number}")
        assert len(count._by_caller) == 1
        count.end(f"caller {number}")
    assert (count.total, count._by_caller) == (0, {})

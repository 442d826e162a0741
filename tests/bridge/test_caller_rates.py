from __future__ import annotations

import pytest

from service.bridge.caller_rates import CallerRates
from service.errors import CallerRateExceeded
from service.stepfunctions.token_bucket import Quota


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def accepted(rates: CallerRates, caller: str, number: int = 100) -> int:
    """Return how many of a number of requests are accepted."""
    for count in range(number):
        try:
            rates.take(caller)
        except CallerRateExceeded:
            return count
    return number


def test_a_caller_may_send_a_full_bucket_and_then_what_flows_back() -> None:
    clock = Clock()
    rates = CallerRates(Quota(5, 2), clock)
    assert accepted(rates, "alice") == 5
    clock.now += 1
    assert accepted(rates, "alice") == 2
    clock.now += 1000
    assert accepted(rates, "alice") == 5


def test_the_limit_of_one_caller_is_not_that_of_another() -> None:
    rates = CallerRates(Quota(5, 2), Clock())
    assert [accepted(rates, caller) for caller in ("alice", "bob", "alice")] == [5, 5, 0]


def test_a_refusal_names_the_limit_and_costs_nothing() -> None:
    clock = Clock()
    rates = CallerRates(Quota(2, 0.1), clock)
    accepted(rates, "alice")
    for _ in range(3):
        with pytest.raises(CallerRateExceeded, match=r"0\.1 requests a second, and 2 at once") as refused:
            rates.take("alice")
        assert refused.value.retry_after == pytest.approx(10)
    clock.now += 10
    assert accepted(rates, "alice") == 1


@pytest.mark.parametrize("pause", [0.1, 0.5, 1.7, 2.0])
def test_a_busy_caller_gets_its_rate_over_any_time_whenever_idle_ones_are_dropped(pause: float) -> None:
    clock = Clock()
    rates = CallerRates(Quota(5, 2), clock)
    began = clock.now
    total = 0
    while clock.now < began + 100:
        total += accepted(rates, "alice")
        clock.now += pause
    assert total == pytest.approx(5 + 2 * (clock.now - pause - began), abs=1)


def test_callers_that_have_been_idle_for_as_long_as_a_bucket_takes_to_fill_are_dropped() -> None:
    clock = Clock()
    rates = CallerRates(Quota(10, 10), clock)
    for number in range(5000):
        rates.take(f"caller {number}")
        clock.now += 0.01
        assert len(rates) <= 202


def test_there_is_a_limit_to_the_callers_that_are_remembered() -> None:
    rates = CallerRates(Quota(1, 1), Clock(), max_callers=100)
    for number in range(1000):
        rates.take(f"caller {number}")
    assert len(rates) <= 200
    assert accepted(rates, "caller 999") == 0

from __future__ import annotations

from service.appsync import Backoff, Renewal


def test_the_backoff_doubles_up_to_its_cap() -> None:
    backoff = Backoff(base=0.1, cap=3, rand=lambda: 1.0)
    assert [backoff.delay(attempt) for attempt in range(1, 8)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3, 3]


def test_the_jitter_is_full() -> None:
    assert Backoff(rand=lambda: 0.0).delay(50) == 0
    assert all(0 <= Backoff().delay(attempt) <= 3 for attempt in range(1, 100))


def test_months_of_attempts_do_not_overflow() -> None:
    assert Backoff(rand=lambda: 1.0).delay(10**9) == 3


def test_a_first_refusal_is_retried_soon_and_later_ones_slowly() -> None:
    backoff = Backoff(base=0.1, cap=3, refresh_interval=3, refused_cap=30, rand=lambda: 0.5)
    assert backoff.refused_delay(1, 1) == 0.05
    assert [backoff.refused_delay(refusals, 2) for refusals in (2, 3, 4, 5, 6, 10**9)] == [3, 6, 12, 24, 30, 30]


def test_renewals_are_spread_over_hours_and_leave_two_hours_for_retries() -> None:
    dues = [Renewal().due() for _ in range(1000)]
    assert 16 * 3600 <= min(dues) < 17 * 3600
    assert 21 * 3600 < max(dues) <= 22 * 3600

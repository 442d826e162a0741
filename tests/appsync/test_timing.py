from __future__ import annotations

from service.appsync import Backoff


def test_the_backoff_doubles_up_to_its_cap() -> None:
    backoff = Backoff(base=0.1, cap=3, rand=lambda: 1.0)
    assert [backoff.delay(attempt) for attempt in range(1, 8)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3, 3]


def test_the_jitter_is_full() -> None:
    assert Backoff(rand=lambda: 0.0).delay(50) == 0
    assert all(0 <= Backoff().delay(attempt) <= 3 for attempt in range(1, 100))


def test_months_of_attempts_do_not_overflow() -> None:
    assert Backoff(rand=lambda: 1.0).delay(10**9) == 3


def test_a_first_refusal_is_tried_again_soon_and_later_ones_slowly() -> None:
    backoff = Backoff(base=0.1, cap=3, refused=30, rand=lambda: 0.5)
    assert backoff.delay_refused(1, 1) == 0.05
    assert backoff.delay_refused(2, 2) == 30

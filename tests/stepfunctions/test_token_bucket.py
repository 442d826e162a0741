from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.stepfunctions.token_bucket import Quota, TokenBucket, redrive_execution_quota, stop_execution_quota


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def bucket(size: int, refill: int) -> tuple[TokenBucket, Clock]:
    clock = Clock()
    return TokenBucket(Quota(size, refill), clock), clock


def test_a_quota_is_written_as_aws_documents_it() -> None:
    assert Quota.parse("300/15") == Quota(300, 15)
    assert str(Quota(300, 15)) == "300/15"


@pytest.mark.parametrize("text", ["", "300", "300/", "/15", "0/15", "300/0", "-1/5", "3.5/1", "300/15/1", 300, None])
def test_any_other_text_is_refused_as_a_quota(text: object) -> None:
    with pytest.raises(ValueError, match="300/15"):
        Quota.parse(text)


def test_a_full_bucket_allows_its_size_and_then_its_refill_rate() -> None:
    tokens, clock = bucket(3, 2)
    assert [tokens.take() for _ in range(4)] == [True, True, True, False]
    assert tokens.seconds_to_wait() == pytest.approx(0.5)
    clock.now += 0.5
    assert tokens.seconds_to_wait() == pytest.approx(0)
    assert tokens.take()
    assert not tokens.take()


def test_a_bucket_never_holds_more_than_its_size() -> None:
    tokens, clock = bucket(3, 2)
    clock.now += 3600
    assert tokens.level == 3


def test_reserved_tokens_become_free_one_after_the_other() -> None:
    tokens, _ = bucket(1, 2)
    assert [tokens.reserve(1.1) for _ in range(3)] == [0.0, pytest.approx(0.5), pytest.approx(1.0)]
    assert tokens.reserve(1.1) is None
    assert tokens.level == pytest.approx(-2)  # a token that was not reserved was not taken


def test_a_throttled_bucket_is_empty_and_refills_at_half_the_rate() -> None:
    tokens, clock = bucket(10, 4)
    tokens.on_throttled()
    assert not tokens.take()
    clock.now += 1
    assert tokens.level == pytest.approx(2)
    for _ in range(20):
        tokens.on_success()
    clock.now += 1
    assert tokens.level == pytest.approx(6)


def test_a_bucket_refills_however_often_it_was_throttled() -> None:
    tokens, clock = bucket(10, 16)
    for _ in range(100):
        tokens.on_throttled()
        clock.now += 1
    assert tokens.take()


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=60))
def test_no_interval_allows_more_than_size_and_refill(steps: list[tuple[float, bool]]) -> None:
    tokens, clock = bucket(5, 3)
    began, taken = clock.now, 0
    for pause, throttled in steps:
        clock.now += pause
        taken += tokens.take()
        if throttled:
            tokens.on_throttled()
        assert taken <= 5 + 3 * (clock.now - began) + 1e-6


def test_calls_that_were_throttled_together_halve_the_rate_once() -> None:
    tokens, clock = bucket(10, 4)
    for _ in range(10):
        tokens.on_throttled()
    clock.now += 0.9
    tokens.on_throttled()
    assert tokens._refill_rate == 2
    clock.now += 0.2
    tokens.on_throttled()
    assert tokens._refill_rate == 1


def test_a_call_that_leaves_tokens_to_spare_waits_for_them() -> None:
    tokens, clock = bucket(4, 2)
    assert [tokens.take(2) for _ in range(3)] == [True, True, False]
    assert tokens.seconds_to_wait(2) == pytest.approx(0.5)
    clock.now += 0.5
    assert tokens.take(2)
    assert [tokens.take() for _ in range(3)] == [True, True, False]


def test_after_exactly_the_time_to_wait_there_is_a_token() -> None:
    tokens, clock = bucket(3, 7)
    while tokens.take():
        pass
    for _ in range(1000):
        clock.now += tokens.seconds_to_wait()
        assert tokens.take()


@pytest.mark.parametrize(
    ("region", "quota"),
    [("us-east-1", "1000/200"), ("us-west-2", "1000/200"), ("eu-west-1", "1000/200"), ("sa-east-1", "500/25")],
)
def test_small_regions_have_a_smaller_quota_of_stops(region: str, quota: str) -> None:
    assert str(stop_execution_quota(region)) == quota


@pytest.mark.parametrize(("region", "quota"), [("us-east-1", "1300/300"), ("sa-east-1", "800/150")])
def test_small_regions_have_a_smaller_quota_of_redrives(region: str, quota: str) -> None:
    assert str(redrive_execution_quota(region)) == quota

from __future__ import annotations

import pytest

from service.local.quotas import AWS_QUOTAS, ActionQuota, Quotas


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("service.local.quotas.time.monotonic", lambda: now[0])
    return now


def granted(quotas: Quotas, action: str, calls: int) -> int:
    return sum(quotas.take(action) for _ in range(calls))


def test_a_bucket_grants_its_tokens_then_its_refill(clock: list[float]) -> None:
    quotas = Quotas(AWS_QUOTAS)
    assert granted(quotas, "DescribeExecution", 1000) == 300
    clock[0] += 2
    assert granted(quotas, "DescribeExecution", 1000) == 30
    clock[0] += 0.1  # one and a half: the half is not lost
    assert granted(quotas, "DescribeExecution", 1000) == 1
    clock[0] += 0.1
    assert granted(quotas, "DescribeExecution", 1000) == 2


def test_a_bucket_never_holds_more_than_its_size(clock: list[float]) -> None:
    quotas = Quotas({"A": ActionQuota(10, 5)})
    clock[0] += 3600
    assert granted(quotas, "A", 1000) == 10


def test_each_action_has_its_own_bucket_and_is_unlimited_without_a_quota(clock: list[float]) -> None:
    quotas = Quotas(AWS_QUOTAS)
    assert granted(quotas, "ListExecutions", 1000) == 200
    assert granted(quotas, "GetExecutionHistory", 1000) == 400
    assert granted(quotas, "Other", 1000) == 1000

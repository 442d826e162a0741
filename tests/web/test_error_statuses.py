from __future__ import annotations

import pytest

from service.web.error_statuses import ErrorStatuses

STATUSES = ErrorStatuses({"OutOfStock": 409, "Validation*": 422, "Validation.Name*": 400, "ValidationX": 423})


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("OutOfStock", 409),
        ("OutOfStock2", None),
        ("Validation", 422),
        ("ValidationX", 423),
        ("ValidationXY", 422),
        ("Validation.Name.Empty", 400),
        ("Validation*", 422),
        ("States.Timeout", None),
        ("", None),
    ],
)
def test_an_exact_name_counts_before_a_prefix_and_a_longer_prefix_before_a_shorter(
    error: str, status: int | None
) -> None:
    assert STATUSES.of(error) == status

from __future__ import annotations

import pytest

from service.web.preferences import Preferences, parse


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], Preferences()),
        (["wait=5"], Preferences(wait=5)),
        (["Wait = 5"], Preferences(wait=5)),
        (['wait="5"'], Preferences(wait=5)),
        (["wait=5; reason=lunch"], Preferences(wait=5)),
        (["respond-async"], Preferences(respond_async=True)),
        (["respond-async, wait=10"], Preferences(wait=10, respond_async=True)),
        (["respond-async", "handling=lenient, wait=10"], Preferences(wait=10, respond_async=True)),
        (['foo="a, wait=1", wait=2'], Preferences(wait=2)),
        (['foo="a, wait=1'], Preferences()),
        (["wait=1, wait=2"], Preferences(wait=1)),
        (["wait=soon"], Preferences()),
        (["wait=-1"], Preferences()),
        (["wait=1.5"], Preferences()),
        (["wait"], Preferences()),
        (["wait=\u0663"], Preferences()),
        (["wait=" + "9" * 5000], Preferences()),
        ([",;=,"], Preferences()),
    ],
)
def test_the_header_is_read_as_the_rfc_says(headers: list[str], expected: Preferences) -> None:
    assert parse(headers) == expected


@pytest.mark.parametrize(
    ("asked", "seconds", "applied"),
    [
        (Preferences(), 25, None),
        (Preferences(wait=5), 5, "wait=5"),
        (Preferences(wait=0), 0, "wait=0"),
        (Preferences(wait=600), 25, "wait=25"),
        (Preferences(respond_async=True), 0, "respond-async"),
        (Preferences(wait=5, respond_async=True), 5, "respond-async, wait=5"),
    ],
)
def test_the_wait_is_what_was_asked_for_up_to_the_limit(asked: Preferences, seconds: float, applied: str) -> None:
    assert asked.seconds(25) == seconds
    assert asked.applied(25) == applied

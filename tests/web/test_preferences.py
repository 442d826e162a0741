from __future__ import annotations

import pytest

from service.web.preferences import Preferences, parse

NO_PREFERENCE = (25, None)
"""The default wait, and no `Preference-Applied`."""


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], NO_PREFERENCE),
        (["wait=5"], (5, "wait=5")),
        (["Wait = 5"], (5, "wait=5")),
        (['wait="5"'], (5, "wait=5")),
        (["wait=5; reason=lunch"], (5, "wait=5")),
        (["wait=0"], (0, "wait=0")),
        (["wait=600"], (25, "wait=25")),
        (["respond-async"], (0, "respond-async")),
        (["respond-async, wait=10"], (10, "respond-async, wait=10")),
        (["respond-async", "handling=lenient, wait=10"], (10, "respond-async, wait=10")),
        (['foo="a, wait=1", wait=2'], (2, "wait=2")),
        (['foo="a, wait=1'], NO_PREFERENCE),
        (["wait=1, wait=2"], (1, "wait=1")),
        (["wait=soon"], NO_PREFERENCE),
        (["wait=-1"], NO_PREFERENCE),
        (["wait=1.5"], NO_PREFERENCE),
        (["wait"], NO_PREFERENCE),
        (["wait=\u0663"], NO_PREFERENCE),
        (["wait=" + "9" * 5000], NO_PREFERENCE),
        ([",;=,"], NO_PREFERENCE),
    ],
)
def test_the_header_is_parsed_as_the_rfc_requires(headers: list[str], expected: tuple[float, str | None]) -> None:
    read = parse(headers, default=Preferences(25), limit=25)
    assert (read.wait, read.applied) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], Preferences(0)),
        (["wait=5"], Preferences(5, "wait=5", None)),
        (["wait=600"], Preferences(25, "wait=25", None)),
        (["wait=0"], Preferences(0, "wait=0", "wait=0")),
        (["respond-async"], Preferences(0, "respond-async", "respond-async")),
        (["respond-async, wait=5"], Preferences(5, "respond-async, wait=5", "respond-async")),
    ],
)
def test_a_wait_counts_as_applied_only_if_the_service_waited(headers: list[str], expected: Preferences) -> None:
    assert parse(headers, default=Preferences(0), limit=25) == expected

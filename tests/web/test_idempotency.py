from __future__ import annotations

import pytest

from service.errors import InvalidIdempotencyKey
from service.web import idempotency


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([], None),
        (["8e03978e-40d5-43dd-bc93-6894a57f9324"], "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        (['"8e03978e-40d5-43dd-bc93-6894a57f9324"'], "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        (['  "with space"\t'], "with space"),
        ([r'"a \"quoted\" \\ key"'], r'a "quoted" \ key'),
        (["x" * 255], "x" * 255),
    ],
)
def test_a_key_is_read_with_and_without_quotes(headers: list[str], key: str | None) -> None:
    assert idempotency.parse(headers) == key


@pytest.mark.parametrize(
    "headers",
    [
        [""],
        ['""'],
        ["a", "a"],
        ["a, b"],
        ["a b"],
        ['"open'],
        ['"a" ; x=1'],
        [r'"\x"'],
        ["schlüssel"],
        ["x" * 256],
        ["a\x00"],
    ],
)
def test_an_invalid_key_is_rejected(headers: list[str]) -> None:
    with pytest.raises(InvalidIdempotencyKey):
        idempotency.parse(headers)

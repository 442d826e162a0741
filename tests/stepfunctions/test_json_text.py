from __future__ import annotations

import pytest

from service.stepfunctions import json_text


@pytest.mark.parametrize("text", [b'"\\ud800"', b'"\xed\xa0\x80"'], ids=["escaped", "encoded"])
def test_lone_surrogates_are_parsed(text: bytes) -> None:
    assert json_text.loads(text) == "\ud800"


@pytest.mark.parametrize("text", ['"\\ud800"', '"\ud800"'], ids=["escaped", "literal"])
def test_raw_text_with_lone_surrogates_is_escaped(text: str) -> None:
    assert json_text.raw(text) == b'"\\ud800"'


def test_raw_text_keeps_its_numbers_and_loses_the_blanks_around_it() -> None:
    assert json_text.raw(" [1e400, 1.0] \n") == b"[1e400, 1.0]"


@pytest.mark.parametrize(
    "text", ["", "{", '"cut', "\ud800", '["\ud800", NaN]', "[" * 20_000, "[" * 20_000 + "]" * 20_000]
)
def test_other_text_raises_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_text.raw(text)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 20_000 + b"]" * 20_000])
def test_other_bytes_raise_value_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_text.loads(text)

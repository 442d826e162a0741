from __future__ import annotations

from typing import Any

import pytest

from service.local.json_text import dumps, loads


@pytest.mark.parametrize("value", [{"a": [1, None]}, "\ud83d", 2**70, "é", [[[[1]]]]])
def test_what_was_written_is_read_back(value: Any) -> None:
    assert loads(dumps(value)) == pytest.approx(value) if isinstance(value, int) else loads(dumps(value)) == value


@pytest.mark.parametrize("text", ["", "{", "NaN", "Infinity", "01", "'a'", b"\xff", "[" * 100_000])
def test_invalid_json_is_rejected(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        loads(text)


def test_deep_nesting_is_written_and_cycles_are_rejected() -> None:
    deep: Any = 1
    for _ in range(500):
        deep = [deep]
    assert loads(dumps(deep)) == deep
    bottomless: list[Any] = []
    bottomless.append(bottomless)
    with pytest.raises(ValueError, match=r"."):
        dumps(bottomless)
    for _ in range(20_000):
        deep = [deep]
    with pytest.raises(ValueError, match="nested too deeply"):
        dumps(deep)

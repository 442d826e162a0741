from __future__ import annotations

import pytest

from service.web.result_check import ResultCheck
from service.web.schema import JsonSchema


def test_without_a_schema_every_result_is_valid() -> None:
    assert ResultCheck(None)(b"{}") == []


def test_each_result_is_checked_and_one_that_many_requests_share_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    schema, checked = JsonSchema({"type": "array"}), list[bytes]()
    broken_rules = schema.broken_rules

    def counted(text: bytes) -> list[str]:
        checked.append(text)
        return broken_rules(text)

    monkeypatch.setattr(schema, "broken_rules", counted)
    check = ResultCheck(schema)
    valid, invalid = b"[]", b"{}"
    assert [check(output) for output in (invalid, invalid, valid, valid, invalid)] == [
        ["/type"],
        ["/type"],
        [],
        [],
        ["/type"],
    ]
    assert checked == [invalid, valid, invalid]

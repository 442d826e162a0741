from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.app.settings import DEMO_SCHEMA
from service.errors import MalformedJson, SchemaViolation
from service.web.schema import MAX_VIOLATIONS, RequestSchema


def violations(schema: RequestSchema, body: Any) -> dict[str, str]:
    with pytest.raises(SchemaViolation) as raised:
        schema.check(body)
    return {fault.pointer: fault.detail for fault in raised.value.violations}


def test_the_demo_schema_accepts_two_names_and_other_members() -> None:
    RequestSchema.load(DEMO_SCHEMA).check({"nome": "Ricardo", "sobrenome": "Marques", "age": 1})


def test_each_violation_has_a_pointer_and_no_value() -> None:
    found = violations(RequestSchema.load(DEMO_SCHEMA), {"nome": "", "sobrenome": ["private"]})
    assert found.keys() == {"/nome", "/sobrenome"}
    assert "private" not in str(found)


def test_a_missing_member_is_named() -> None:
    assert "sobrenome" in violations(RequestSchema.load(DEMO_SCHEMA), {"nome": "x"})[""]


def test_pointers_escape_tilde_and_slash() -> None:
    schema = RequestSchema({"additionalProperties": {"items": {"type": "string"}}})
    assert violations(schema, {"a/b~c": ["x", 1]}).keys() == {"/a~1b~0c/1"}


def test_a_thousand_violations_make_a_short_response() -> None:
    assert len(violations(RequestSchema({"items": {"type": "string"}}), [1] * 1000)) == MAX_VIOLATIONS


def test_an_empty_path_accepts_any_object_and_nothing_else() -> None:
    schema = RequestSchema.load("")
    schema.check({"anything": 1})
    assert violations(schema, []).keys() == {""}


def test_a_body_nested_beyond_the_librarys_limit_is_rejected() -> None:
    body: list[Any] = []
    for _ in range(300):
        body = [body]
    with pytest.raises(MalformedJson):
        RequestSchema.load(DEMO_SCHEMA).check({"nome": body})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is not JSON"),
        ('{"type": "nonsense"}', "is not a JSON Schema"),
        ('{"$ref": "https://example.com/other.json"}', "is not a JSON Schema"),
    ],
)
def test_a_file_without_a_schema_is_rejected(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "schema.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=complaint):
        RequestSchema.load(path)


def test_a_missing_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        RequestSchema.load(tmp_path / "none.json")

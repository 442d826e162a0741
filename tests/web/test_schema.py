from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.app.settings import DEMO_SCHEMA
from service.errors import MalformedJson, SchemaViolation
from service.web.schema import MAX_VIOLATIONS, JsonSchema
from tests.support.growth import SUPERLINEAR, growth


def violations(schema: JsonSchema, body: Any) -> dict[str, str]:
    with pytest.raises(SchemaViolation) as raised:
        schema.check(body)
    return {fault.pointer: fault.detail for fault in raised.value.violations}


def test_the_demo_schema_accepts_two_names_and_other_members() -> None:
    JsonSchema.load(DEMO_SCHEMA).check({"nome": "Ricardo", "sobrenome": "Marques", "age": 1})


def test_each_violation_has_a_pointer_and_no_value() -> None:
    found = violations(JsonSchema.load(DEMO_SCHEMA), {"nome": "", "sobrenome": ["private"]})
    assert found.keys() == {"/nome", "/sobrenome"}
    assert "private" not in str(found)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"nome": "x"}, "One place in the body does not match the schema."),
        ({"nome": "", "sobrenome": ""}, "2 places in the body do not match the schema."),
    ],
)
def test_the_detail_counts_the_places_in_words(body: dict[str, str], detail: str) -> None:
    with pytest.raises(SchemaViolation, match=f"^{detail}$"):
        JsonSchema.load(DEMO_SCHEMA).check(body)


def test_a_missing_member_is_named() -> None:
    assert "sobrenome" in violations(JsonSchema.load(DEMO_SCHEMA), {"nome": "x"})[""]


def test_pointers_escape_tilde_and_slash() -> None:
    schema = JsonSchema({"additionalProperties": {"items": {"type": "string"}}})
    assert violations(schema, {"a/b~c": ["x", 1]}).keys() == {"/a~1b~0c/1"}


def test_a_thousand_violations_make_a_short_response() -> None:
    assert len(violations(JsonSchema({"items": {"type": "string"}}), [1] * 1000)) == MAX_VIOLATIONS


def nested(depth: int, shape: Callable[[Any], Any], leaf: Any = 1) -> Any:
    for _ in range(depth):
        leaf = shape(leaf)
    return leaf


SELF = {"$ref": "#/$defs/node"}
MEMBER = {"properties": {"a": SELF}}
RECURSIVE: dict[str, dict[str, Any]] = {
    "anyOf": {"type": "object", "anyOf": [MEMBER, MEMBER | {"minProperties": 1}]},
    "oneOf": {"type": "object", "oneOf": [MEMBER, MEMBER | {"minProperties": 1}]},
    "allOf": {"type": "object", "allOf": [MEMBER, MEMBER | {"minProperties": 1}]},
    "not": {"type": "object", "allOf": [{"not": {"not": MEMBER}}, {"not": {"not": MEMBER}}]},
    "if": {"type": "object", "if": MEMBER, "then": MEMBER, "else": MEMBER},
    "dependentSchemas": {"type": "object", "dependentSchemas": {"a": MEMBER}, **MEMBER},
    "patternProperties": {"type": "object", "patternProperties": {"a": SELF}, **MEMBER},
    "unevaluatedProperties": {"type": "object", "anyOf": [MEMBER, MEMBER], "unevaluatedProperties": False},
    "$dynamicRef": {"type": "object", "anyOf": [{"properties": {"a": {"$dynamicRef": "#node"}}}, MEMBER]},
}


@pytest.mark.parametrize("keyword", RECURSIVE)
def test_a_deep_body_against_a_recursive_schema_is_rejected_at_once(keyword: str) -> None:
    schema = JsonSchema({**SELF, "$defs": {"node": {"$dynamicAnchor": "node"} | RECURSIVE[keyword]}})
    assert growth(lambda depth: violations(schema, nested(depth, lambda inner: {"a": inner})), 48) < SUPERLINEAR


@pytest.mark.parametrize("keyword", RECURSIVE)
def test_a_deep_body_whose_last_member_is_the_invalid_one_is_rejected_at_once(keyword: str) -> None:
    node = {key: value for key, value in RECURSIVE[keyword].items() if key != "type"}
    schema = JsonSchema({"allOf": [SELF, {"required": ["z"]}], "$defs": {"node": {"$dynamicAnchor": "node"} | node}})
    assert growth(lambda depth: violations(schema, nested(depth, lambda inner: {"a": inner})), 48) < SUPERLINEAR


def test_a_deep_body_of_arrays_against_a_recursive_schema_is_rejected_at_once() -> None:
    node = {"type": "array", "contains": SELF, "items": SELF, "anyOf": [{"items": SELF}, {"prefixItems": [SELF]}]}
    schema = JsonSchema({**SELF, "$defs": {"node": node}})
    assert growth(lambda depth: violations(schema, nested(depth, lambda inner: [inner])), 48) < SUPERLINEAR


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        ({"items": {"type": "string"}}, lambda n: [1] * n),
        ({"items": {"required": ["a", "b", "c"]}}, lambda n: [{}] * n),
        ({"items": {"anyOf": [{"type": "string"}, {"type": "object"}]}}, lambda n: [1] * n),
        ({"items": {"anyOf": [{"const": str(i)} for i in range(200)]}}, lambda n: [1] * n),
        ({"anyOf": [{"items": {"items": {"anyOf": [False, False]}}}, False]}, lambda n: [[1] * 100] * (n // 100 + 1)),
        ({"propertyNames": {"maxLength": 1}}, lambda n: {f"name{i}": 1 for i in range(n)}),
        ({"patternProperties": {"^(a+)+$": {"type": "string"}}}, lambda n: {"a" * n: 1}),
        ({"pattern": "^(a|aa)+$"}, lambda n: "a" * n + "b"),
        ({"uniqueItems": True}, lambda n: [[i] for i in range(n)] + [[0]]),
        ({"additionalProperties": {"type": "string"}}, lambda n: {f"name{i}": 1 for i in range(n)}),
    ],
)
def test_the_cost_of_a_large_invalid_body_is_linear(schema: dict[str, Any], body: Callable[[int], Any]) -> None:
    compiled = JsonSchema(schema)
    assert growth(lambda size: violations(compiled, body(size)), 20_000) < SUPERLINEAR


@pytest.mark.parametrize("pattern", [r"^(a+)+\1$", "^(a|aa)+(?!c)$", "(?<=a)b"])
def test_a_pattern_that_needs_backtracking_is_rejected(pattern: str) -> None:
    with pytest.raises(ValueError, match="regex"):
        JsonSchema({"pattern": pattern})


def test_of_a_large_body_only_the_first_violation_is_reported() -> None:
    assert violations(JsonSchema({"items": {"type": "string"}}), ["x"] * 5000 + [1, 2]) == {
        "/5000": 'the value is not of type "string"'
    }


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        ({"properties": {"a": {}}, "additionalProperties": False}, {"Secret": 1}),
        ({"unevaluatedProperties": False}, {"Secret": 1}),
        ({"propertyNames": {"maxLength": 1}}, {"Secret": 1}),
        ({"propertyNames": {"enum": ["x"]}}, {"Secret": 1}),
        ({"propertyNames": False}, {"Secret": 1}),
        ({"not": {"required": ["b"]}, "minProperties": 3}, {"b": "Secret", "Secret": 2}),
        ({"anyOf": [{"type": "integer"}, {"additionalProperties": False}]}, {"Secret": 1}),
        ({"unevaluatedItems": False, "uniqueItems": True}, ["Secret", "Secret"]),
        ({"contains": {"type": "integer"}, "items": {"pattern": "^x", "maxLength": 1, "const": 1}}, ["Secret"]),
        ({"properties": {"a": {"enum": [1]}}, "dependentRequired": {"a": ["b"]}}, {"a": "Secret", "Secret": 1}),
    ],
)
def test_no_detail_repeats_a_value_or_the_name_of_a_member(schema: dict[str, Any], body: Any) -> None:
    details = violations(JsonSchema(schema), body).values()
    assert all(details)
    assert "Secret" not in str(list(details))


def test_a_result_is_described_by_the_rules_that_it_breaks_and_nothing_of_itself() -> None:
    rule = {"additionalProperties": {"$ref": "#/$defs/a~b"}, "$defs": {"a~b": {"items": {"type": "integer"}}}}
    schema = JsonSchema(rule | {"required": ["total"]})
    assert schema.broken_rules(b'{"total": [1]}') == []
    assert schema.broken_rules(b'{"Secret": [1, "Secret"]}') == ["/required", "/$defs/a~0b/items/type"]


@pytest.mark.parametrize("text", [b'"\\ud83d"', b"1e400", b"[" * 2000 + b"]" * 2000])
def test_a_result_that_cannot_be_checked_breaks_the_whole_schema(text: bytes) -> None:
    assert JsonSchema(True).broken_rules(text) == [""]


def test_the_cost_of_checking_a_large_invalid_result_is_linear() -> None:
    schema = JsonSchema({"items": {"anyOf": [{"const": str(i)} for i in range(200)]}})
    assert growth(lambda size: schema.broken_rules(orjson.dumps([1] * size)), 20_000) < SUPERLINEAR


def test_an_empty_path_accepts_any_object_and_nothing_else() -> None:
    schema = JsonSchema.load("")
    schema.check({"anything": 1})
    assert violations(schema, []).keys() == {""}


def test_a_body_nested_beyond_the_librarys_limit_is_rejected() -> None:
    body: list[Any] = []
    for _ in range(300):
        body = [body]
    with pytest.raises(MalformedJson):
        JsonSchema.load(DEMO_SCHEMA).check({"nome": body})


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
        JsonSchema.load(path)


def test_a_missing_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        JsonSchema.load(tmp_path / "none.json")

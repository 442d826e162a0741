from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

import service.local
from service.local.asl.jsonpath import InvalidPathError, MissingError, ReferencePath
from service.local.asl.jsonpath import Path as JsonPath
from service.local.asl.scope import EvaluationError, Scope

SPECIFIED = {"foo": 123, "bar": ["a", "b", "c"], "car": {"cdr": True}}
ORDERS = {
    "items": [{"name": "pen", "price": 2, "tag-s": ["a"]}, {"name": "ink", "price": 7, "of": {"name": "blue"}}],
    "limit": 5,
    "it's": 1,
    "test-batch": {"tests": [1, 2, 3]},
}


def find(path: str, data: Any = None, **variables: Any) -> Any:
    context = {"Execution": {"Name": "e", "Input": {"a": [1]}}}
    return JsonPath(path).find(Scope(data, context, variables), data)


@pytest.mark.parametrize(
    ("path", "value"), [("$.foo", 123), ("$.bar", ["a", "b", "c"]), ("$.car.cdr", True), ("$", SPECIFIED)]
)
def test_the_paths_of_the_specification_find_their_values(path: str, value: Any) -> None:
    assert find(path, SPECIFIED) == value


@pytest.mark.parametrize(
    ("path", "data", "value"),
    [
        ("$.store.book", {"store": {"book": 1}}, 1),
        (r"$.store\.book", {"store.book": 2}, 2),
        (r"$.\stor\e.boo\k", {"store": {"book": 3}}, 3),
        (r"$.foo.\.bar", {"foo": {".bar": 4}}, 4),
        (r"$.foo\@bar.baz\[\[.\?pretty", {"foo@bar": {"baz[[": {"?pretty": 5}}}, 5),
        ("$.&Ж中.\U00010346", {"&Ж中": {"\U00010346": 6}}, 6),
        ("$.ledgers.branch[0].pending.count", {"ledgers": {"branch": [{"pending": {"count": 7}}]}}, 7),
        ("$.ledgers[0][1][2].foo", {"ledgers": [[0, [0, 0, {"foo": 8}]]]}, 8),
        ("$['store']['book']", {"store": {"book": 9}}, 9),
        ("$['store'][0]['book']", {"store": [{"book": 10}]}, 10),
    ],
)
def test_the_reference_paths_of_the_specification_name_one_place(path: str, data: Any, value: Any) -> None:
    assert JsonPath(path).is_reference
    assert find(path, data) == value
    assert ReferencePath(path).put(data, "new") != data


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.items[-1].name", "ink"),
        ("$.test-batch.tests", [1, 2, 3]),
        ('$["it\'s"]', 1),
        (r"$['it\'s']", 1),
        ("$.items.[0].name", "pen"),
        ("$.items[0]['tag-s'][0]", "a"),
        ("$.items[*].name", ["pen", "ink"]),
        ("$.items[1:]", ORDERS["items"][1:]),  # type: ignore[index]
        ("$..name", ["pen", "ink", "blue"]),
        ("$.items[?(@.price > 5)].name", ["ink"]),
        ("$.items[?(@.price <= $.limit)].name", ["pen"]),
        ("$.items[?(@.name == 'ink' && @.of)].price", [7]),
        ("$.items[?(@.name==ink)].price", [7]),
        ("$.items[?(@.name == '==ink)')].price", []),
        ("$.items[?(@.name =~ /P.*/i)].price", [2]),
        ("$.items[?(@.name in ['pen', 'cap'])].price", [2]),
        ("$.items.[?(@.price == 7)].name", ["ink"]),
        ("$.items.[*].name", ["pen", "ink"]),
        ("$.items[0,1].price", [2, 7]),
        ("$.items[?(@.price > 9)]", []),
        ("$.gone[*]", []),
        ("$.items.length()", 2),
        ("$.items[*].name.length()", 2),
    ],
)
def test_paths_are_read_as_jayway_reads_them(path: str, value: Any) -> None:
    assert find(path, ORDERS) == value


@pytest.mark.parametrize(
    ("path", "value"),
    [("$$.Execution.Name", "e"), ("$$.Execution.Input.a[0]", 1), ("$$.Execution.Input.a[*]", [1]), ("$v.x", 2)],
)
def test_a_path_may_begin_at_the_context_object_or_at_a_variable(path: str, value: Any) -> None:
    assert find(path, v={"x": 2}) == value


@pytest.mark.parametrize("data", ['{"a": 1}', "[1]", "text", "", 5, None, True])
def test_a_query_finds_nothing_in_a_scalar(data: Any) -> None:
    assert find("$..a", data) == find("$[*]", data) == []


def test_a_query_that_cannot_be_evaluated_is_an_error() -> None:
    deep: Any = {}
    for _ in range(150):
        deep = {"a": deep}
    with pytest.raises(EvaluationError, match=r"'\$\.\.b' cannot be evaluated"):
        find("$..b", deep)


@pytest.mark.parametrize("path", ["$.a.c", "$.a[0]", "$.b.c", "$.c[3]", "$.c.a", "$gone.a", "$$.no", "$.n.x"])
def test_a_reference_path_that_leads_nowhere_is_an_error_with_its_text(path: str) -> None:
    with pytest.raises(MissingError, match="could not be found") as caught:
        find(path, {"a": {"b": 1}, "c": [0], "n": None})
    assert path in str(caught.value)
    assert caught.value.error == "States.Runtime"


@pytest.mark.parametrize("path", ["", "a", "foo.$", "$.a b", "$.a[", "$.a[?(]", "$.", "$..", "$.a[?(@.x ==)]"])
def test_text_that_is_not_a_path_is_rejected(path: str) -> None:
    with pytest.raises(InvalidPathError):
        JsonPath(path)


@pytest.mark.parametrize("path", ["$$.a", "$v", "$.a[*]", "$.a[-1]", "$..a", "$.a[0:1]", "$.a[?(@.b)]", "a", ""])
def test_only_reference_paths_of_the_data_can_be_put_into(path: str) -> None:
    with pytest.raises(InvalidPathError):
        ReferencePath(path)


@pytest.mark.parametrize(
    ("path", "data", "result"),
    [
        ("$", {"a": 1}, "new"),
        ("$.a", {"a": 1, "b": 2}, {"a": "new", "b": 2}),
        ("$.c.d", {"a": 1}, {"a": 1, "c": {"d": "new"}}),
        ("$.l[1]", {"l": [1, 2]}, {"l": [1, "new"]}),
        ("$.l[2].x", {}, {"l": [None, None, {"x": "new"}]}),
        ("$.a.b", {"a": None}, {"a": {"b": "new"}}),
    ],
)
def test_a_value_is_put_into_its_place_and_the_data_stays_unchanged(path: str, data: Any, result: Any) -> None:
    before = str(data)
    assert ReferencePath(path).put(data, "new") == result
    assert str(data) == before


@pytest.mark.parametrize(
    ("path", "data"), [("$.a.b", {"a": 1}), ("$.a[0]", {"a": {}}), ("$.a", []), ("$.a[10001]", {})]
)
def test_a_place_that_something_else_takes_is_a_result_path_match_failure(path: str, data: Any) -> None:
    with pytest.raises(EvaluationError) as caught:
        ReferencePath(path).put(data, 1)
    assert caught.value.error == "States.ResultPathMatchFailure"


def test_the_libraries_for_queries_and_yaml_are_loaded_only_when_they_are_needed() -> None:
    """They take a tenth of a second, and most definitions need neither."""
    package = Path(service.local.__file__).parent
    imported = {
        name
        for module in package.rglob("*.py")
        for statement in ast.parse(module.read_text(encoding="utf-8")).body
        if isinstance(statement, ast.Import)
        for name in (alias.name for alias in statement.names)
    }
    assert "asyncio" in imported
    assert not imported & {"jsonpath", "yaml"}

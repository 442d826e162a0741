from __future__ import annotations

from typing import Any

import pytest

from service.local.asl.intrinsic_calls import InvalidCallError, parse_call
from service.local.asl.scope import EvaluationError, Scope

NUMBERS = [1, 2, 3, 4, 5, 6, 7, 8, 9]
MERGED = {"json1": {"a": {"a1": 1, "a2": 2}, "b": 2}, "json2": {"a": {"a3": 1, "a4": 2}, "c": 3}}


def call(text: str, data: Any = None) -> Any:
    return parse_call(text).evaluate(Scope(data, {"Name": "e"}, {"v": [1]}), data)


@pytest.mark.parametrize(
    ("text", "data", "value"),
    [
        ("States.Format('Hello, my name is {}.', $.name)", {"name": "Arnav"}, "Hello, my name is Arnav."),
        ("States.Format($.template, $.name)", {"template": "I am {}.", "name": "Arnav"}, "I am Arnav."),
        (
            r"States.Format('Welcome to {} {}\'s playlist.', $.first, $.last)",
            {"first": "John", "last": "Doe"},
            "Welcome to John Doe's playlist.",
        ),
        ("States.StringToJson($.someString)", {"someString": '{"number": 20}'}, {"number": 20}),
        ("States.JsonToString($.someJson)", {"someJson": {"name": "Foo"}}, '{"name":"Foo"}'),
        ("States.Array($.Id)", {"Id": 123456}, [123456]),
        (
            "States.Array('Foo', 2020, $.someJson, null)",
            {"someJson": {"random": "abc"}},
            ["Foo", 2020, {"random": "abc"}, None],
        ),
        ("States.ArrayPartition($.in, 4)", {"in": NUMBERS}, [[1, 2, 3, 4], [5, 6, 7, 8], [9]]),
        ("States.ArrayContains($.in, $.lookingFor)", {"in": NUMBERS, "lookingFor": 5}, True),
        ("States.ArrayRange(1, 9, 2)", None, [1, 3, 5, 7, 9]),
        ("States.ArrayGetItem($.in, $.index)", {"in": NUMBERS, "index": 5}, 6),
        ("States.ArrayLength($.in)", {"in": NUMBERS}, 9),
        ("States.ArrayUnique($.in)", {"in": [1, 2, 3, 3, 3, 4]}, [1, 2, 3, 4]),
        ("States.Base64Encode($.in)", {"in": "Data to encode"}, "RGF0YSB0byBlbmNvZGU="),
        ("States.Base64Decode($.in)", {"in": "RGVjb2RlZCBkYXRh"}, "Decoded data"),
        (
            "States.Hash($.Data, $.Algorithm)",
            {"Data": "input data", "Algorithm": "SHA-1"},
            "aaff4a450a104cd177d28d18d74485e8cae074b7",
        ),
        ("States.JsonMerge($.json1, $.json2, false)", MERGED, {"a": {"a3": 1, "a4": 2}, "b": 2, "c": 3}),
        ("States.MathAdd($.value1, $.step)", {"value1": 111, "step": -1}, 110),
        ("States.StringSplit($.in, $.by)", {"in": "1,2,3,4,5", "by": ","}, ["1", "2", "3", "4", "5"]),
        (
            "States.StringSplit($.in, $.by)",
            {"in": "This.is+a,test=string", "by": ".+,="},
            ["This", "is", "a", "test", "string"],
        ),
    ],
)
def test_the_examples_of_the_specification(text: str, data: Any, value: Any) -> None:
    assert call(text, data) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("States.Array()", []),
        (" States.Array( 1 , -2.5e1 , true ,'a, b)' ) ", [1, -25.0, True, "a, b)"]),
        ("States.Array($.a[?(@.x == 'a,)')].y, $.b['c,d'], $$.Name, $v[0])", [[1], 2, "e", 1]),
        ("States.Format('{}-{}', States.Format('{}', 1), States.MathAdd(1, 1))", "1-2"),
        (r"States.Format('\{{}\} {}', null, $.b)", "{null} {c,d=2}"),
        (r"States.Array('a\'b\\c\{')", ["a'b\\c{"]),
        ("States.ArrayLength($.a[*])", 1),
        ("States.MathAdd($.a.length(), 1)", 2),
    ],
)
def test_arguments_are_literals_paths_and_calls(text: str, value: Any) -> None:
    assert call(text, {"a": [{"x": "a,)", "y": 1}], "b": {"c,d": 2}}) == value


@pytest.mark.parametrize(
    "text",
    [
        "States.No(1)",
        "States.Array(1",
        "States.Array(1 2)",
        "States.Array(1) x",
        "States.Array(a)",
        "States.Array($.a[)",
        "States.Array(,)",
        "States.UUID(1)",
        "States.MathAdd(1)",
        "States.Hash('a')",
        "States.Array",
        "Format('a')",
        "States.Array(" * 11 + ")" * 11,
    ],
)
def test_other_text_is_rejected(text: str) -> None:
    with pytest.raises(InvalidCallError):
        parse_call(text)


@pytest.mark.parametrize(
    "text",
    [
        "States.Format('{}')",
        "States.Format('{}', 1, 2)",
        "States.Format(1)",
        "States.StringToJson('{')",
        "States.StringToJson(1)",
        "States.ArrayPartition($.list, 0)",
        "States.ArrayPartition(1, 1)",
        "States.ArrayRange(1, 2000, 1)",
        "States.ArrayRange(1, 2, 0)",
        "States.ArrayGetItem($.list, 3)",
        "States.ArrayGetItem($.list, -1)",
        "States.ArrayLength('a')",
        "States.Base64Decode('*')",
        "States.Base64Encode($.long)",
        "States.Hash('a', 'CRC')",
        "States.JsonMerge($, $, true)",
        "States.JsonMerge($, 1, false)",
        "States.MathAdd(true, 1)",
        "States.MathRandom(5, 5)",
        "States.StringSplit(1, ',')",
    ],
)
def test_a_call_that_fails_is_an_intrinsic_failure(text: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        call(text, {"list": [1], "long": "x" * 10_001})
    assert caught.value.error == "States.IntrinsicFailure"


def test_a_path_in_a_call_that_leads_nowhere_is_a_runtime_error() -> None:
    with pytest.raises(EvaluationError) as caught:
        call("States.Array($.gone)", {})
    assert caught.value.error == "States.Runtime"

from __future__ import annotations

import time
from typing import Any

import pytest

from service.local.asl.expressions import Template, UnsupportedExpressionError, compile_expression
from service.local.asl.scope import EvaluationError

INPUT = {"nil": None, "one": [1], "none": [], "deep": [{"a": 1}, {"a": 2}], "text": '"\\😀'}


def evaluate(expression: str) -> Any:
    return Template("{% " + expression + " %}").evaluate({"states": {"input": INPUT}})


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("$states.input.nil", None),
        ("null", None),
        ("{'a': null, 'b': [null]}", {"a": None, "b": [None]}),
        ("{'a': $states.input.gone}", {}),
        ("$states.input.one", [1]),
        ("$states.input.none", []),
        ("$states.input.deep.a", [1, 2]),
        ("$states.input.deep[0].a", 1),
        ("$states.input.deep.a[]", [1, 2]),
        ("$states.input.text & '!'", '"\\😀!'),
        ("$string({'a': $states.input.text})", '{"a":"\\"\\\\😀"}'),
        ("$length($string(['éü😀']))", 7),
        ("{'a': 'é'} & ''", '{"a":"é"}'),
        ("$string([$parse('\"\\\\ud83d\"')])", '["\\ud83d"]'),
        ("[1..3]", [1, 2, 3]),
        ("$parse('null')", None),
        ("$parse('[1, {\"a\": null}]')", [1, {"a": None}]),
        ("$parse('\"\\\\ud83d\"')", "\ud83d"),
        ("$partition([1, 2, 3], 2)", [[1, 2], [3]]),
        ("$range(1, 5, 2)", [1, 3, 5]),
        ("$range(3, 1, -1)", [3, 2, 1]),
        ("$hash('a', 'MD5')", "0cc175b9c0f1b6a831c399e269772661"),
        ("$random(1) = $random(1)", True),
        ("$random() < 1", True),
        ("$length($uuid())", 36),
    ],
)
def test_the_value_of_an_expression_is_json(expression: str, value: Any) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    "expression",
    [
        "$states.input.gone",
        "$",
        "1 + 'a'",
        "$error('mine')",
        "$string",
        "function($x) { $x }",
        "{'f': $string}",
        "$parse('{')",
        "$parse('NaN')",
        "$parse(7)",
        "$parse($states.input.gone)",
        "$hash('a', 'CRC')",
        "$range(1, 5, 0)",
        "$partition(1, 2)",
        "($f := function($n) { 1 + $f($n) }; $f(1))",
    ],
)
def test_an_expression_that_fails_or_is_not_json_is_an_evaluation_error(expression: str) -> None:
    with pytest.raises(EvaluationError):
        evaluate(expression)


@pytest.mark.parametrize("expression", ["1 +", "'", "$eval('1')"])
def test_an_expression_that_does_not_compile_is_rejected(expression: str) -> None:
    with pytest.raises(UnsupportedExpressionError):
        Template("{% " + expression + " %}")


@pytest.mark.parametrize(
    ("expression", "value"),
    [("$x", None), ("{'a': $x}", {"a": None}), ("[$x]", [None]), ("$exists($x)", True), ("$string($x)", "null")],
)
def test_a_variable_may_be_null(expression: str, value: Any) -> None:
    assert Template("{% " + expression + " %}").evaluate({"x": None}) == value


def test_an_expression_is_compiled_once() -> None:
    assert compile_expression("1 + 2") is compile_expression("1 + 2")


def test_millis_is_the_time_of_the_evaluation_whatever_was_compiled_in_between() -> None:
    template = Template("{% $millis() %}")
    Template("{% 1 %}")
    first = template.evaluate({})
    assert abs(first - time.time() * 1000) < 10_000
    while time.time() * 1000 < first + 2:
        pass
    assert template.evaluate({}) > first


def test_evaluation_does_not_change_its_bindings() -> None:
    states = {"input": {"a": [1, {"b": None}]}}
    result = Template("{% $states.input %}").evaluate({"states": states})
    result["a"].append(2)
    assert states == {"input": {"a": [1, {"b": None}]}}

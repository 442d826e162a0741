from __future__ import annotations

from typing import Any

import pytest

from service.local.asl.choice_rules import compile_rule, timestamp
from service.local.asl.fields import Fields, Report
from service.local.asl.scope import EvaluationError, Scope

DATA = {
    "n": 5,
    "m": 5.0,
    "s": "b*c",
    "t": "2024-01-01T00:00:00Z",
    "u": "2024-01-01T01:00:00+01:00",
    "yes": True,
    "nil": None,
    "list": [1],
}


def compiled(rule: dict[str, Any]) -> tuple[Any, list[str]]:
    report = Report()
    return compile_rule(Fields("the rule", rule, report)), report.faults


def matches(rule: dict[str, Any], data: Any = None) -> bool:
    test, faults = compiled(rule)
    assert not faults
    result: bool = test.evaluate(Scope(DATA if data is None else data, {}, {}))
    return result


@pytest.mark.parametrize(
    ("variable", "operator", "value", "expected"),
    [
        ("s", "StringEquals", "b*c", True),
        ("s", "StringEquals", "b", False),
        ("s", "StringLessThan", "c", True),
        ("s", "StringGreaterThan", "c", False),
        ("s", "StringLessThanEquals", "b*c", True),
        ("s", "StringGreaterThanEquals", "b*c", True),
        ("n", "StringEquals", "5", False),
        ("n", "NumericEquals", 5.0, True),
        ("n", "NumericLessThan", 5, False),
        ("n", "NumericGreaterThan", 4.9, True),
        ("n", "NumericLessThanEquals", 5, True),
        ("n", "NumericGreaterThanEquals", 6, False),
        ("yes", "NumericEquals", 1, False),
        ("yes", "BooleanEquals", True, True),
        ("n", "BooleanEquals", True, False),
        ("t", "TimestampEquals", "2024-01-01T00:00:00.000Z", True),
        ("u", "TimestampEquals", "2024-01-01T00:00:00Z", True),
        ("t", "TimestampLessThan", "2024-01-01T00:00:01Z", True),
        ("t", "TimestampGreaterThan", "2024-01-01T00:00:01Z", False),
        ("t", "TimestampLessThanEquals", "2024-01-01T00:00:00Z", True),
        ("t", "TimestampGreaterThanEquals", "2025-01-01T00:00:00Z", False),
        ("s", "TimestampEquals", "2024-01-01T00:00:00Z", False),
        ("s", "StringMatches", "b*", True),
        ("s", "StringMatches", "*", True),
        ("s", "StringMatches", r"b\*c", True),
        ("s", "StringMatches", r"b\*", False),
        ("s", "StringMatches", "b.c", False),
        ("n", "StringMatches", "*", False),
        ("m", "NumericEqualsPath", "$.n", True),
        ("s", "StringEqualsPath", "$.n", False),
        ("yes", "BooleanEqualsPath", "$.yes", True),
        ("t", "TimestampEqualsPath", "$.u", True),
        ("n", "NumericLessThanPath", "$.m", False),
        ("nil", "IsNull", True, True),
        ("n", "IsNull", False, True),
        ("nil", "IsPresent", True, True),
        ("gone", "IsPresent", True, False),
        ("gone", "IsPresent", False, True),
        ("list[1]", "IsPresent", False, True),
        ("list[?(@ > 1)]", "IsPresent", True, False),
        ("list[?(@ == 1)]", "IsPresent", True, True),
        ("n", "IsNumeric", True, True),
        ("yes", "IsNumeric", True, False),
        ("s", "IsString", True, True),
        ("nil", "IsString", False, True),
        ("yes", "IsBoolean", True, True),
        ("n", "IsBoolean", False, True),
        ("t", "IsTimestamp", True, True),
        ("s", "IsTimestamp", True, False),
    ],
)
def test_a_comparison(variable: str, operator: str, value: Any, expected: bool) -> None:
    assert matches({"Variable": f"$.{variable}", operator: value}) is expected


def test_comparisons_are_combined() -> None:
    five, other = {"Variable": "$.n", "NumericEquals": 5}, {"Variable": "$.s", "StringEquals": "x"}
    assert not matches({"And": [five, other]})
    assert matches({"Or": [other, {"Comment": "why", **five}]})
    assert matches({"Not": other})
    assert matches({"And": [{"Not": other}, {"Or": [five]}]})


def test_the_rules_of_the_specification() -> None:
    public = {"Not": {"Variable": "$.type", "StringEquals": "Private"}}
    twenties = {
        "And": [
            {"Variable": "$.value", "IsPresent": True},
            {"Variable": "$.value", "IsNumeric": True},
            {"Variable": "$.value", "NumericGreaterThanEquals": 20},
            {"Variable": "$.value", "NumericLessThan": 30},
        ]
    }
    audited = {"Variable": "$.rating", "NumericGreaterThanPath": "$.auditThreshold"}
    assert matches(public, {"type": "Public", "value": 22})
    assert matches(twenties, {"type": "Private", "value": 22})
    assert not matches(twenties, {"type": "Private"})
    assert not matches(audited, {"rating": 3, "auditThreshold": 3})


@pytest.mark.parametrize("rule", [{"StringEquals": "a"}, {"IsNull": True}, {"NumericEqualsPath": "$.n"}])
def test_a_missing_variable_fails_the_execution(rule: dict[str, Any]) -> None:
    with pytest.raises(EvaluationError, match=r"Invalid path '\$\.gone'") as caught:
        matches({"Variable": "$.gone"} | rule)
    assert caught.value.error == "States.Runtime"


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"Variable": "$.a"}, "Variable"),
        ({"Variable": "$.a", "IsNull": True, "IsString": True}, "Variable"),
        ({"StringEquals": "a"}, "Variable"),
        ({"Variable": "a", "StringEquals": "a"}, "Variable"),
        ({"Variable": "$.a", "StringEquals": 1}, "StringEquals"),
        ({"Variable": "$.a", "TimestampEquals": "today"}, "TimestampEquals"),
        ({"Variable": "$.a", "NumericEqualsPath": 1}, "NumericEqualsPath"),
        ({"Variable": "$.a", "IsPresent": "yes"}, "IsPresent"),
        ({"And": []}, "And"),
        ({"Or": [{"Variable": "$.a", "IsNull": 1}]}, "IsNull"),
        ({"Not": {"Variable": "$.a", "IsNull": True, "Next": "A"}}, "Next"),
    ],
)
def test_an_invalid_rule_is_reported(rule: dict[str, Any], field: str) -> None:
    assert f"field {field}:" in compiled(rule)[1][0]


@pytest.mark.parametrize(
    "text", ["2024-01-01", "2024-01-01 00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-01t00:00:00z", 1]
)
def test_other_forms_are_not_timestamps(text: Any) -> None:
    assert timestamp(text) is None

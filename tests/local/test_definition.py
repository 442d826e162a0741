from __future__ import annotations

import json
from typing import Any

import pytest

from service.local.definition import DefinitionError, parse, render

HTTP = "arn:aws:states:::http:invoke"
END = {"Type": "Succeed"}


def error_of(state: Any, **top: Any) -> str:
    """Return the message for a definition whose only error is in this state S, or in these top-level fields."""
    definition = {"QueryLanguage": "JSONata", "StartAt": "S", "States": {"S": state, "End": END}} | top
    with pytest.raises(DefinitionError) as caught:
        parse(json.dumps(definition))
    return str(caught.value)


@pytest.mark.parametrize(
    ("state", "field"),
    [
        ({"Type": "Map", "End": True}, "Type"),
        ({"Type": "Pass", "Result": 1, "End": True}, "Result"),
        ({"Type": "Pass", "Parameters": {}, "End": True}, "Parameters"),
        ({"Type": "Pass"}, "Next"),
        ({"Type": "Pass", "End": True, "Next": "End"}, "Next"),
        ({"Type": "Pass", "End": False}, "Next"),
        ({"Type": "Pass", "End": "yes"}, "End"),
        ({"Type": "Pass", "QueryLanguage": "JSONPath", "End": True}, "QueryLanguage"),
        ({"Type": "Pass", "Output": "{% 1 + %}", "End": True}, "Output"),
        ({"Type": "Pass", "Output": "{% 1", "End": True}, "Output"),
        ({"Type": "Pass", "Output": "{%}", "End": True}, "Output"),
        ({"Type": "Pass", "Output": "{% $eval('1') %}", "End": True}, "Output"),
        ({"Type": "Pass", "Assign": "{% 1 %}", "End": True}, "Assign"),
        ({"Type": "Pass", "Assign": {"states": 1}, "End": True}, "Assign"),
        ({"Type": "Pass", "Assign": {"a b": 1}, "End": True}, "Assign"),
        ({"Type": "Wait", "Timestamp": "2030-01-01T00:00:00Z", "End": True}, "Seconds"),
        ({"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": {}, "End": True}, "Resource"),
        ({"Type": "Task", "Resource": HTTP, "End": True}, "Arguments"),
        ({"Type": "Task", "Resource": HTTP, "Arguments": {}, "HeartbeatSeconds": 1, "End": True}, "HeartbeatSeconds"),
        ({"Type": "Task", "Resource": HTTP, "Arguments": {}, "Retry": {}, "End": True}, "Retry"),
        ({"Type": "Succeed", "Next": "End"}, "Next"),
        ({"Type": "Fail", "End": True}, "End"),
        ({"Type": "Fail", "ErrorPath": "$.e"}, "ErrorPath"),
        ({"Type": "Choice", "Choices": 1}, "Choices"),
        ({}, "Type"),
    ],
)
def test_an_error_in_a_state_names_the_state_and_the_field(state: dict[str, Any], field: str) -> None:
    assert f"state 'S', field {field}:" in error_of(state)


@pytest.mark.parametrize(
    ("list_field", "item", "field"),
    [
        ("Retry", {"ErrorEquals": ["A"], "More": 1}, "More"),
        ("Retry", {"ErrorEquals": []}, "ErrorEquals"),
        ("Retry", {"ErrorEquals": [1]}, "ErrorEquals"),
        ("Retry", {"ErrorEquals": ["States.ALL", "A"]}, "ErrorEquals"),
        ("Retry", {"ErrorEquals": ["A"], "JitterStrategy": "HALF"}, "JitterStrategy"),
        ("Retry", {"ErrorEquals": ["A"], "MaxAttempts": True}, "MaxAttempts"),
        ("Catch", {"ErrorEquals": ["A"]}, "Next"),
        ("Catch", {"ErrorEquals": ["A"], "Next": "End", "ResultPath": "$"}, "ResultPath"),
    ],
)
def test_an_error_in_a_retrier_or_catcher_names_its_index_and_field(
    list_field: str, item: dict[str, Any], field: str
) -> None:
    state = {"Type": "Task", "Resource": HTTP, "Arguments": {}, "End": True, list_field: [item]}
    assert f"state 'S', {list_field}[0], field {field}:" in error_of(state)


@pytest.mark.parametrize("rule", [{"Next": "End"}, {"Condition": "{% true %}"}, {"Variable": "$.a", "Next": "End"}])
def test_an_error_in_a_rule_names_its_index(rule: dict[str, Any]) -> None:
    assert "state 'S', Choices[0]" in error_of({"Type": "Choice", "Choices": [rule]})


@pytest.mark.parametrize(
    ("top", "words"),
    [
        ({"QueryLanguage": "JSONPath"}, "QueryLanguage"),
        ({"StartAt": "Nowhere"}, "'Nowhere', which does not exist"),
        ({"StartAt": 1}, "StartAt"),
        ({"States": []}, "States"),
        ({"More": 1}, "the definition, field More: is not implemented"),
        ({"TimeoutSeconds": "5"}, "TimeoutSeconds"),
        ({"States": {"S": 1}}, "state 'S' must be an object"),
    ],
)
def test_an_invalid_definition_is_rejected(top: dict[str, Any], words: str) -> None:
    assert words in error_of(END, **top)


@pytest.mark.parametrize(
    "state",
    [
        {"Type": "Pass", "Next": "Gone"},
        {"Type": "Choice", "Choices": [{"Condition": "{% true %}", "Next": "Gone"}]},
        {"Type": "Choice", "Choices": [], "Default": "Gone"},
        {
            "Type": "Task",
            "Resource": HTTP,
            "Arguments": {},
            "End": True,
            "Catch": [{"ErrorEquals": ["A"], "Next": "Gone"}],
        },
        {"Type": "Parallel", "Branches": [{"StartAt": "Gone", "States": {}}], "End": True},
        {
            "Type": "Parallel",
            "Branches": [{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "S"}}}],
            "End": True,
        },
    ],
)
def test_a_transition_to_an_unknown_state_is_rejected(state: dict[str, Any]) -> None:
    assert "does not exist" in error_of(state)


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_text_other_than_a_json_object_is_rejected(text: str) -> None:
    with pytest.raises(DefinitionError):
        parse(text)


def test_unknown_functions_and_variables_are_rejected_anywhere_in_a_definition() -> None:
    inner = {"Type": "Pass", "Output": "{% $nosuch(1) %}", "End": True}
    parallel = {"Type": "Parallel", "Branches": [{"StartAt": "A", "States": {"A": inner}}], "End": True}
    assert "$nosuch" in error_of(parallel)
    assert "$gone" in error_of({"Type": "Fail", "Error": "{% $gone %}"})
    assert "$gone" in error_of({"Type": "Choice", "Choices": [{"Condition": "{% $gone %}", "Next": "End"}]})


def test_variables_that_an_expression_or_a_state_binds_are_known() -> None:
    for expression in (
        "$map([1], function($v, $i) { $v + $i })",
        "($f := function($x) { $x + $y }; $y := 1; $f(1))",
        "$states.input@$q#$i.{'a': $q, 'i': $i}",
        "$assigned[$ = 1]",
        "$sum([1..3]) ~> $string",
    ):
        state = {"Type": "Pass", "Output": "{% " + expression + " %}", "Assign": {"assigned": [1]}, "End": True}
        parse(json.dumps({"QueryLanguage": "JSONata", "StartAt": "S", "States": {"S": state}}))


def test_every_aws_partition_is_accepted() -> None:
    for partition in ("aws", "aws-cn", "aws-us-gov"):
        state = {"Type": "Task", "Resource": HTTP.replace("aws", partition), "Arguments": {}, "End": True}
        parse(json.dumps({"QueryLanguage": "JSONata", "StartAt": "S", "States": {"S": state}}))


def test_placeholders_are_filled_in_and_escaped_for_a_json_string() -> None:
    text = '{"a": "${x}", "b": "{% $x & ${n} %}", "c": "$x"}'
    assert json.loads(render(text, {"x": '"\\', "n": "10"})) == {"a": '"\\', "b": "{% $x & 10 %}", "c": "$x"}


def test_an_unknown_placeholder_is_rejected() -> None:
    with pytest.raises(DefinitionError, match="unknown placeholder: y"):
        render('"${x} ${y}"', {"x": "1"})

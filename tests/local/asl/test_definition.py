from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from service.local.asl.definition import DefinitionError, parse, read, render

HTTP = "arn:aws:states:::http:invoke"
CALL = {"ApiEndpoint": "{% $states.input.url %}", "Method": "POST", "Authentication": {"ConnectionArn": "arn"}}
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
        ({"Type": "Loop", "End": True}, "Type"),
        ({"Type": "Map", "End": True}, "ItemProcessor"),
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
        ({"Type": "Wait", "Timestamp": "2030-01-01", "End": True}, "Timestamp"),
        ({"Type": "Wait", "TimestampPath": "$.at", "End": True}, "TimestampPath"),
        ({"Type": "Wait", "SecondsPath": "$.seconds", "End": True}, "SecondsPath"),
        ({"Type": "Wait", "Seconds": 1, "Timestamp": "2030-01-01T00:00:00Z", "End": True}, "Timestamp"),
        ({"Type": "Wait", "Seconds": "5", "End": True}, "Seconds"),
        ({"Type": "Wait", "Seconds": -1, "End": True}, "Seconds"),
        ({"Type": "Wait", "End": True}, "Seconds"),
        ({"Type": "Pass", "Next": ""}, "Next"),
        ({"Type": "Pass", "Output": {"a": ["{% 1 + %}"]}, "End": True}, "Output.a[0]"),
        ({"Type": "Fail", "Error": 5}, "Error"),
        ({"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": {}, "End": True}, "Resource"),
        ({"Type": "Task", "Resource": HTTP, "End": True}, "Arguments"),
        ({"Type": "Task", "Resource": HTTP, "Arguments": {}, "HeartbeatSeconds": -1, "End": True}, "HeartbeatSeconds"),
        ({"Type": "Task", "Resource": HTTP, "Arguments": {}, "Retry": {}, "End": True}, "Retry"),
        ({"Type": "Succeed", "Next": "End"}, "Next"),
        ({"Type": "Fail", "End": True}, "End"),
        ({"Type": "Fail", "ErrorPath": "$.e"}, "ErrorPath"),
        ({"Type": "Choice", "Choices": 1}, "Choices"),
        ({"Type": "Choice", "Choices": [], "Default": 1}, "Default"),
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
        ({"QueryLanguage": "SQL"}, "QueryLanguage"),
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


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (
            {"Authentication": None, "InvocationConfig": {"ConnectionArn": "arn"}},
            "InvocationConfig: is not implemented",
        ),
        ({"Authentication": None, "InvocationConfig": {"ConnectionArn": "arn"}}, "Authentication: is missing"),
        ({"ApiEndpoint": None}, "ApiEndpoint: is missing"),
        ({"Method": None}, "Method: is missing"),
        ({"Method": "CONNECT"}, "Method: must be one of DELETE, "),
        ({"Authentication": {}}, "Authentication.ConnectionArn: is missing"),
        ({"Transform": {}}, "Transform: is not implemented"),
        ({"Headers": {"Authorization": "x"}}, "Headers.Authorization: is a header that"),
    ],
)
def test_an_argument_with_which_every_call_would_fail_is_rejected(arguments: dict[str, Any], fault: str) -> None:
    given = {name: value for name, value in (CALL | arguments).items() if value is not None}
    message = error_of({"Type": "Task", "Resource": HTTP, "Arguments": given, "End": True})
    assert f"state 'S', field Arguments.{fault}" in message


def test_everything_that_is_wrong_is_reported_at_once_and_nothing_else() -> None:
    states = {
        "A": {"Type": "Pass", "Result": 1, "Output": ["{% 1 + %}", "{% $gone %}"], "Next": "Gone"},
        "B": {"Type": "Loop", "ItemProcessor": {}, "Next": "Gone"},
        "C": {"Type": "Parallel", "Branches": [{"StartAt": "D", "States": {"D": {"Type": "Wait"}}}], "End": True},
        "E": {"Type": "Choice", "Choices": [{"Condition": "{% $gone2 %}"}, 7], "Default": 1},
        "F": "x",
        "G": {"Type": "Task", "Resource": HTTP, "Retry": [{"ErrorEquals": []}], "Next": "A", "Arguments": CALL},
    }
    with pytest.raises(DefinitionError) as caught:
        parse(json.dumps({"QueryLanguage": "JSONata", "StartAt": "", "States": states, "More": 1}))
    assert [fault.partition(": ")[0] for fault in caught.value.faults] == [
        "the definition, field StartAt",
        "the definition, field More",
        "state 'A', field Output[0]",
        "state 'A', field Result",
        "state 'B', field Type",
        "state 'D', field Seconds",
        "state 'D', field Next",
        "state 'E', Choices[0], field Next",
        "state 'E', Choices[1] must be an object",
        "state 'E', field Default",
        "state 'F' must be an object",
        "state 'G', Retry[0], field ErrorEquals",
        "state 'A', field Next",
        "state 'E', Choices[0], field Condition",
    ]


@pytest.mark.parametrize(
    "text",
    ["StartAt: A\nStates: {}", "---\nStartAt: A", "# mine\nStartAt: A", "\n  QueryLanguage: JSONata\n  StartAt: A"],
)
def test_yaml_is_recognised(text: str) -> None:
    with pytest.raises(DefinitionError, match=r"not JSON: .*; it looks like YAML: name the file .yaml"):
        parse(text)


@pytest.mark.parametrize("text", ["", "{'StartAt': 1}", "{", '{"a": 1,}', "StartAt"])
def test_other_text_is_not_taken_for_yaml(text: str) -> None:
    with pytest.raises(DefinitionError, match=r"not JSON: (?!.*YAML)"):
        parse(text)


@pytest.mark.parametrize(
    ("content", "fault"),
    [(None, "cannot be read: No such file"), (b"{}\xff", "is not UTF-8"), ("{}".encode("utf-16"), "is not UTF-8")],
)
def test_a_file_that_cannot_be_read_is_a_fault_of_the_definition(
    tmp_path: Path, content: bytes | None, fault: str
) -> None:
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DefinitionError, match=f"the file {fault}"):
        read(tmp_path / "a.json", {})


def test_unknown_placeholders_are_reported_with_the_other_faults(tmp_path: Path) -> None:
    state = {"Type": "Pass", "Output": ["${b}", {"${c}": "${a}"}], "Next": "Gone", "Comment": "${d}"}
    (tmp_path / "a.json").write_text(json.dumps({"QueryLanguage": "JSONata", "StartAt": "S", "States": {"S": state}}))
    with pytest.raises(DefinitionError) as caught:
        read(tmp_path / "a.json", {"a": "1"})
    assert [fault.partition(";")[0] for fault in caught.value.faults] == [
        "state 'S', field Output: has the unknown placeholder ${b}",
        "state 'S', field Output: has the unknown placeholder ${c}",
        "state 'S', field Next: leads to state 'Gone', which does not exist",
    ]


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    definition = {"QueryLanguage": "JSONata", "StartAt": "S", "States": {"S": END}}
    (tmp_path / "a.json").write_text(json.dumps(definition), encoding="utf-8-sig")
    assert read(tmp_path / "a.json", {}).flow.start_at == "S"


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
        state = {"Type": "Task", "Resource": HTTP.replace("aws", partition), "Arguments": CALL, "End": True}
        parse(json.dumps({"QueryLanguage": "JSONata", "StartAt": "S", "States": {"S": state}}))


def test_placeholders_are_filled_in_and_escaped_for_a_json_string() -> None:
    text = '{"a": "${x}", "b": "{% $x & ${n} %}", "c": "$x"}'
    assert json.loads(render(text, {"x": '"\\', "n": "10"})) == {"a": '"\\', "b": "{% $x & 10 %}", "c": "$x"}


def test_an_unknown_placeholder_is_rejected() -> None:
    with pytest.raises(DefinitionError, match="unknown placeholder: y"):
        render('"${x} ${y}"', {"x": "1"})

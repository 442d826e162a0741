from __future__ import annotations

import json
from typing import Any

import pytest

from service.local.asl.definition import DefinitionError, parse
from service.local.asl.retry import StateError
from tests.local.asl.running import AnyResource, Resource, failure, flow, run, task

NUMBERS = {"title": "Numbers to add", "numbers": {"val1": 3, "val2": 4}}
DONE = {"Type": "Succeed"}


async def test_a_task_of_the_specification_gets_a_part_of_the_input_and_adds_to_it() -> None:
    add = Resource(lambda numbers: numbers["val1"] + numbers["val2"])
    states = {"Sum": task(InputPath="$.numbers", ResultPath="$.sum")}
    assert await run(states, NUMBERS, add) == NUMBERS | {"sum": 7}


async def test_a_pass_of_the_specification_adds_its_result() -> None:
    result = {"x-datum": 0.381018, "y-datum": 622.2269926397355}
    states = {"P": {"Type": "Pass", "Result": result, "ResultPath": "$.coords", "End": True}}
    assert await run(states, {"georefOf": "Home"}) == {"georefOf": "Home", "coords": result}


async def test_every_step_between_input_and_output() -> None:
    state = task(
        InputPath="$.in",
        Parameters={"a.$": "$.x", "whole.$": "$", "name.$": "$$.Execution.Name", "state.$": "$$.State.Name"},
        ResultSelector={"kept.$": "$.r", "retries.$": "$$.State.RetryCount"},
        ResultPath="$.out.result",
        OutputPath="$.out",
    )
    resource = Resource({"r": 5, "dropped": 6})
    assert await run({"S": state}, {"in": {"x": 1}}, resource) == {"result": {"kept": 5, "retries": 0}}
    assert resource.arguments == [{"a": 1, "whole": {"x": 1}, "name": "e", "state": "S"}]


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({"InputPath": None}, {}),
        ({"OutputPath": None}, {}),
        ({"Result": 1, "ResultPath": None}, {"a": [1]}),
        ({"InputPath": "$.a"}, [1]),
        ({"InputPath": "$$.Execution.Input"}, {"x": 1}),
        ({"InputPath": "$$.Execution.Input.x", "ResultPath": "$.b"}, {"a": [1], "b": 1}),
        ({"Parameters": {"b.$": "$.a[0]"}}, {"b": 1}),
        ({"Parameters": {"b.$": "$.a[*]"}, "OutputPath": "$.b[0]"}, 1),
    ],
)
async def test_a_pass_selects_and_combines(fields: dict[str, Any], output: Any) -> None:
    assert await run({"P": {"Type": "Pass", "End": True} | fields}, {"a": [1]}) == output


@pytest.mark.parametrize(
    "kind", [{"Type": "Wait", "Seconds": 0, "Next": "D"}, {"Type": "Choice", "Choices": [], "Default": "D"}]
)
async def test_states_without_a_result_pass_on_what_the_paths_select(kind: dict[str, Any]) -> None:
    states = {"S": kind | {"InputPath": "$.a", "OutputPath": "$.b"}, "D": DONE}
    assert await run(states, {"a": {"b": 1}}) == 1
    assert await run({"S": {"Type": "Succeed", "InputPath": "$.a", "OutputPath": "$.b"}}, {"a": {"b": 2}}) == 2


async def test_assign_sees_the_whole_result_and_the_variables_as_they_were() -> None:
    states = {
        "A": {"Type": "Pass", "Assign": {"n": 1, "in.$": "$.x"}, "Next": "B"},
        "B": task(
            Assign={"n.$": "States.MathAdd($n, $.add)", "m.$": "$n"},
            ResultSelector={"none": 0},
            ResultPath=None,
            End=False,
            Next="C",
        ),
        "C": {"Type": "Pass", "Parameters": {"n.$": "$n", "m.$": "$m", "in.$": "$in"}, "End": True},
    }
    assert await run(states, {"x": "y"}, Resource({"add": 4})) == {"n": 5, "m": 1, "in": "y"}


async def test_a_choice_follows_the_first_rule_and_assigns_what_the_rule_says() -> None:
    choice = {
        "Type": "Choice",
        "InputPath": "$.in",
        "Choices": [
            {"Variable": "$.v", "NumericGreaterThan": 5, "Next": "D", "Assign": {"size": "big"}},
            {"Variable": "$.v", "NumericGreaterThan": 2, "Next": "D"},
        ],
        "Assign": {"size": "small"},
        "Default": "D",
    }
    done = {"Type": "Pass", "Parameters": {"size.$": "$size", "v.$": "$.v"}, "End": True}
    states = {"A": {"Type": "Pass", "Assign": {"size": "none"}, "Next": "C"}, "C": choice, "D": done}
    assert await run(states, {"in": {"v": 9}}) == {"size": "big", "v": 9}
    assert await run(states, {"in": {"v": 3}}) == {"size": "none", "v": 3}
    assert await run(states, {"in": {"v": 1}}) == {"size": "small", "v": 1}


async def test_a_catcher_puts_the_error_where_its_result_path_says() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "D", "Assign": {"e.$": "$.Error"}}]
    states = {"T": task(Catch=catch, OutputPath="$.gone"), "D": DONE}
    error = {"Error": "Mine", "Cause": "why"}
    assert await run(states, {"a": 1}, Resource(StateError("Mine", "why"))) == {"a": 1, "error": error}
    del catch[0]["ResultPath"]
    assert await run(states, {"a": 1}, Resource(StateError("Mine", "why"))) == error


async def test_a_fail_state_may_name_its_error_by_paths_and_calls() -> None:
    fail = {"Type": "Fail", "ErrorPath": "$.e", "CausePath": "States.Format('it was {}', $.c)"}
    assert await failure({"F": fail}, {"e": "Mine", "c": 1}) == ("Mine", "it was 1")
    assert await failure({"F": {"Type": "Fail", "Error": "E", "Cause": "C"}}) == ("E", "C")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"InputPath": "$.gone"}, "States.Runtime"),
        ({"Parameters": {"a.$": "$.gone"}}, "States.Runtime"),
        ({"Parameters": {"a.$": "States.ArrayLength($)"}}, "States.IntrinsicFailure"),
        ({"ResultPath": "$.text.x"}, "States.ResultPathMatchFailure"),
        ({"OutputPath": "$.gone"}, "States.Runtime"),
        ({"Type": "Wait", "SecondsPath": "$.text"}, "States.Runtime"),
        ({"Type": "Wait", "TimestampPath": "$.text"}, "States.Runtime"),
        (
            {"Type": "Map", "ItemProcessor": flow(D=DONE), "ItemsPath": "$.l", "MaxConcurrencyPath": "$.text"},
            "States.Runtime",
        ),
    ],
)
async def test_what_cannot_be_found_or_computed_fails_with_the_state(fields: dict[str, Any], error: str) -> None:
    name, cause = await failure({"P": {"Type": "Pass", "End": True} | fields}, {"text": "x", "l": [1]})
    assert name == error
    assert "'P'" in cause


async def test_an_intrinsic_failure_in_a_task_is_caught_and_a_missing_path_is_not() -> None:
    states = {
        "T": task(Parameters={"a.$": "States.MathAdd($.a, 1)"}, Catch=[{"ErrorEquals": ["States.ALL"], "Next": "D"}]),
        "D": {"Type": "Pass", "Result": "caught", "End": True},
    }
    assert await run(states, {"a": "x"}) == "caught"
    assert (await failure(states, {}))[0] == "States.Runtime"


async def test_states_of_both_languages_share_data_and_variables() -> None:
    states = {
        "P": {"Type": "Pass", "Assign": {"v.$": "$.a"}, "Next": "J"},
        "J": {
            "Type": "Pass",
            "QueryLanguage": "JSONata",
            "Output": {"sum": "{% $v + $states.input.a %}"},
            "Assign": {"w": "{% $v * 10 %}"},
            "Next": "Q",
        },
        "Q": {"Type": "Pass", "Parameters": {"sum.$": "$.sum", "w.$": "$w"}, "End": True},
    }
    assert await run(states, {"a": 1}) == {"sum": 2, "w": 10}


def faults(state: dict[str, Any], **top: Any) -> str:
    with pytest.raises(DefinitionError) as caught:
        parse(json.dumps({"StartAt": "S", "States": {"S": state, "D": DONE}} | top), AnyResource())
    return str(caught.value)


@pytest.mark.parametrize(
    ("state", "fault"),
    [
        ({"Type": "Pass", "InputPath": "a", "End": True}, "InputPath: 'a' is not a path"),
        ({"Type": "Pass", "OutputPath": 1, "End": True}, "OutputPath: has the wrong type"),
        ({"Type": "Pass", "ResultPath": "$.a[*]", "End": True}, "ResultPath: '$.a[*]' is not a reference path"),
        ({"Type": "Pass", "ResultPath": "$$.a", "End": True}, "ResultPath: '$$.a' is not a reference path"),
        ({"Type": "Pass", "Parameters": {"a": [{"b.$": "x"}]}, "End": True}, "Parameters.a[0].b.$: 'x' is not a path"),
        ({"Type": "Pass", "ResultSelector": {}, "End": True}, "ResultSelector: is not implemented"),
        ({"Type": "Pass", "Output": 1, "End": True}, "Output: is a field of JSONata, not JSONPath"),
        (
            {"Type": "Pass", "QueryLanguage": "JSONata", "InputPath": "$", "End": True},
            "InputPath: is a field of JSONPath",
        ),
        ({"Type": "Pass", "Parameters": {"a.$": "$gone"}, "End": True}, "Parameters: uses undefined"),
        ({"Type": "Pass", "Assign": {"a b.$": "$.a"}, "End": True}, "Assign: 'a b' is not a valid"),
        ({"Type": "Succeed", "Assign": {"a": 1}}, "Assign: is not implemented"),
        ({"Type": "Wait", "Seconds": 1, "SecondsPath": "$.a", "End": True}, "SecondsPath: and Seconds must not both"),
        (
            {"Type": "Wait", "Seconds": 1, "TimestampPath": "$.a", "End": True},
            "TimestampPath: and Seconds must not both",
        ),
        ({"Type": "Wait", "SecondsPath": "a", "End": True}, "SecondsPath: 'a' is not a path"),
        ({"Type": "Fail", "ErrorPath": "States.No()"}, "ErrorPath: 'States.No()' is not a call"),
        ({"Type": "Fail", "Cause": 1}, "Cause: must be a string"),
        ({"Type": "Fail", "CausePath": "States.Array($gone)"}, "CausePath: uses undefined"),
        ({"Type": "Fail", "Assign": {}}, "Assign: is not implemented"),
        ({"Type": "Choice", "Choices": [{"Condition": "{% true %}", "Next": "D"}]}, "Condition: is a field of JSONata"),
        ({"Type": "Map", "Items": [], "ItemProcessor": flow(X=DONE), "End": True}, "Items: is a field of JSONata"),
    ],
)
def test_a_fault_names_the_state_and_the_field(state: dict[str, Any], fault: str) -> None:
    assert f"state 'S'{', Choices[0]' if 'Choices' in state else ''}, field {fault}" in faults(state)


def test_a_definition_in_jsonata_has_no_states_in_jsonpath() -> None:
    state = {"Type": "Pass", "QueryLanguage": "JSONPath", "End": True}
    assert "field QueryLanguage: cannot be JSONPath" in faults(state, QueryLanguage="JSONata")


def test_two_states_must_not_have_the_same_name_even_in_different_flows() -> None:
    state = {"Type": "Parallel", "Branches": [flow(D=DONE)], "End": True}
    assert "state 'D': there are two states of this name" in faults(state)

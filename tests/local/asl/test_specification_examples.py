"""The examples of the Amazon States Language specification (22 November 2024), with data of our own.

`EXAMPLES` says where each of them is; those that follow here are the ones that no other test has.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any, Final

import pytest

from service.local.asl.definition import DefinitionError, parse
from service.local.asl.retry import StateError
from tests.local.asl.running import AnyResource, Resource, failure, flow, run, task
from tests.local.asl.test_specification import in_virtual_time

HERE: Final = "test_specification_examples"
EXAMPLES: Final[dict[str, list[str]]] = {
    "Example: Hello World": ["test_specification.test_hello_world"],
    "States": [f"{HERE}.test_a_state_may_name_its_language_and_have_a_comment"],
    "Data": [f"{HERE}.test_the_result_of_a_task_may_be_any_json"],
    "Query Languages": [f"{HERE}.test_a_machine_is_in_jsonata", f"{HERE}.test_a_state_may_be_in_another_language"],
    "Assigning State Machine Variables": [
        f"{HERE}.test_a_later_state_sees_what_was_assigned",
        f"{HERE}.test_an_assignment_sees_the_values_before_it",
    ],
    "Variable Scope": [
        f"{HERE}.test_an_inner_scope_sees_the_outer_one_and_ends_with_its_iteration",
        f"{HERE}.test_an_inner_scope_does_not_assign_what_an_outer_one_has",
    ],
    "Expressions": [f"{HERE}.test_expressions_have_functions_of_their_own"],
    'Reserved "states" Variable with JSONata': [f"{HERE}.test_a_state_sees_its_input_its_result_and_its_error"],
    "JSONata Evaluation": [f"{HERE}.test_expressions_are_the_whole_of_a_field_or_parts_of_it"],
    "JSONata Runtime Errors": [f"{HERE}.test_a_value_that_a_field_does_not_take_is_an_error_that_can_be_caught"],
    "JSONata Restrictions": [
        f"{HERE}.test_there_is_no_input_document",
        f"{HERE}.test_the_input_document_cannot_be_named",
        f"{HERE}.test_within_an_expression_there_are_values_in_context",
    ],
    "Reference Paths": [
        "test_jsonpath.test_the_paths_of_the_specification_find_their_values",
        "test_jsonpath.test_the_reference_paths_of_the_specification_name_one_place",
    ],
    "Payload Template": [
        f"{HERE}.test_a_template_without_expressions_stays_as_it_is",
        "test_payload_template.test_the_template_of_the_specification_is_filled",
    ],
    "Intrinsic Functions": [
        "test_intrinsic_calls.test_the_examples_of_the_specification",
        "test_intrinsic_calls.test_arguments_are_literals_paths_and_calls",
    ],
    "Using InputPath, Parameters, ResultSelector, ResultPath and OutputPath": [
        f"{HERE}.test_several_values_become_a_list",
        f"{HERE}.test_a_result_takes_its_place_in_the_input",
        "test_jsonpath_language.test_a_pass_selects_and_combines",
    ],
    "Input/Output Processing Examples": [
        "test_jsonpath_language.test_a_task_of_the_specification_gets_a_part_of_the_input_and_adds_to_it",
        f"{HERE}.test_a_result_takes_its_place_in_the_input",
    ],
    "JSONPath Runtime Errors": [f"{HERE}.test_a_result_that_has_no_place_fails_the_execution"],
    "Retrying after error": [
        f"{HERE}.test_the_retriers_of_the_specification",
        f"{HERE}.test_a_jitter_strategy_that_aws_does_not_have_is_refused",
    ],
    "Complex retry scenarios": ["test_specification.test_a_complex_retry_scenario"],
    "JSONata Catchers": [f"{HERE}.test_the_catchers_of_the_specification_in_jsonata"],
    "JSONPath Catchers": [f"{HERE}.test_the_catchers_of_the_specification_in_jsonpath"],
    "JSONata Pass State": [f"{HERE}.test_a_pass_assigns_what_is_there_or_something_else"],
    "JSONPath Pass State": ["test_jsonpath_language.test_a_pass_of_the_specification_adds_its_result"],
    "Task State": ["test_specification.test_the_times_of_a_task_are_numbers_or_paths"],
    "JSONata Choice Rules": [f"{HERE}.test_a_choice_in_jsonata_has_an_output_and_variables_for_each_rule"],
    "JSONPath Choice Rules": [
        "test_specification.test_a_choice_dispatches",
        "test_choice_rules.test_the_rules_of_the_specification",
        "test_jsonpath_language.test_a_choice_follows_the_first_rule_and_assigns_what_the_rule_says",
    ],
    "Data-test expression for JSONPath Choice Rules": ["test_choice_rules.test_a_comparison"],
    "Wait State": ["test_specification.test_a_wait_takes_seconds_or_until_a_moment"],
    "JSONata Wait State": [f"{HERE}.test_a_wait_in_jsonata_ends_at_a_moment_in_its_input"],
    "JSONPath Wait State": ["test_specification.test_a_wait_takes_seconds_or_until_a_moment"],
    "Succeed State": ["test_specification.test_a_complex_retry_scenario"],
    "Fail State": [f"{HERE}.test_a_fail_state_has_an_error_and_a_cause_or_computes_them"],
    "Parallel State": [
        f"{HERE}.test_branches_have_tasks_of_their_own",
        "test_specification.test_parallel_branches_get_the_same_input_and_their_outputs_are_a_list",
    ],
    "JSONata Map State": [f"{HERE}.test_the_maps_of_the_specification_in_jsonata"],
    "JSONPath Map State": [
        "test_map_state.test_the_map_of_the_specification_gets_the_items_at_its_path",
        "test_map_state.test_the_selector_of_the_specification_makes_the_input_of_each_iteration",
    ],
    "Appendix B: List of JSONPath Intrinsic Functions": [
        "test_intrinsic_calls.test_the_examples_of_the_specification",
        "test_intrinsic_functions.test_random_numbers_are_in_their_range_and_repeat_with_a_seed",
        "test_intrinsic_functions.test_uuids_differ",
    ],
}
"""The sections that have examples, in their order, with the tests for them."""

DONE = {"Type": "Succeed"}


def jsonata(kind: str, **fields: Any) -> dict[str, Any]:
    return {"Type": kind, "QueryLanguage": "JSONata"} | fields


def test_every_section_has_tests_that_exist() -> None:
    folder = Path(__file__).parent
    known = {
        f"{path.stem}.{node.name}"
        for path in folder.glob("test_*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert [name for names in EXAMPLES.values() for name in names if name not in known] == []


async def test_a_state_may_name_its_language_and_have_a_comment() -> None:
    first = task(QueryLanguage="JSONPath", Comment="greets", Next="B", End=False)
    assert await run({"A": first, "B": DONE}, 1, Resource("hi")) == "hi"


async def test_the_result_of_a_task_may_be_any_json() -> None:
    assert await run({"Add": task()}, {"a": 30, "b": 12}, Resource(lambda numbers: sum(numbers.values()))) == 42


def test_a_machine_is_in_jsonata() -> None:
    states = {"Hello": task(Arguments="{% $states.input %}")}
    machine = parse(json.dumps({"QueryLanguage": "JSONata", "StartAt": "Hello", "States": states}), AnyResource())
    assert machine.flow.start_at == "Hello"


async def test_a_state_may_be_in_another_language() -> None:
    states = {
        "Paths": {"Type": "Pass", "Parameters": {"order": {"sum.$": "$.order.sum"}}, "Next": "Expressions"},
        "Expressions": jsonata("Pass", Output={"sum": "{% $states.input.order.sum %}"}, End=True),
    }
    assert await run(states, {"order": {"sum": 7, "by": "Ana"}}) == {"sum": 7}


async def test_a_later_state_sees_what_was_assigned() -> None:
    states = {
        "First": {"Type": "Pass", "Assign": {"maker": "Gurgel", "model": "BR-800", "year": 1988}, "Next": "Second"},
        "Second": jsonata("Pass", Output="{% $year & ' ' & $maker & ' ' & $model %}", End=True),
    }
    assert await run(states) == "1988 Gurgel BR-800"


async def test_an_assignment_sees_the_values_before_it() -> None:
    states = {
        "Before": {"Type": "Pass", "Assign": {"n": 5}, "Next": "Assigning"},
        "Assigning": jsonata("Pass", Assign={"n": 6, "old": "{% $n %}"}, Next="After"),
        "After": jsonata("Pass", Output=["{% $n %}", "{% $old %}"], End=True),
    }
    assert await run(states) == [6, 5]


def greetings(inner: str = "inner") -> dict[str, Any]:
    greet = {
        "Begin": jsonata("Pass", Assign={inner: "all", "both": "{% $outer & ' ' & $states.input %}"}, Next="End"),
        "End": jsonata("Succeed", Output="{% $both %}"),
    }
    return {
        "Greeting": {"Type": "Pass", "Assign": {"outer": "hello"}, "Next": "Each"},
        "Each": jsonata(
            "Map",
            ItemProcessor=flow(**greet),
            Assign={"outer": "{% $count($states.result) %}"},
            Next="Bye",
        ),
        "Bye": jsonata("Succeed", Output={"greetings": "{% $states.input %}", "count": "{% $outer %}"}),
    }


async def test_an_inner_scope_sees_the_outer_one_and_ends_with_its_iteration() -> None:
    assert await run(greetings(), ["Ana", "Rui"]) == {"greetings": ["hello Ana", "hello Rui"], "count": 2}


def test_an_inner_scope_does_not_assign_what_an_outer_one_has() -> None:
    source = {"StartAt": "Greeting", "States": greetings("outer")}
    with pytest.raises(DefinitionError, match=r"^state 'Begin', field Assign: \$outer is assigned in an outer scope$"):
        parse(json.dumps(source))


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("$sum($order.total)", 42),
        ("($product := function($x, $y) {$x * $y}; $reduce([1..5], $product))", 120),
    ],
)
async def test_expressions_have_functions_of_their_own(expression: str, value: int) -> None:
    states = {
        "Order": {"Type": "Pass", "Assign": {"order": [{"total": 2}, {"total": 40}]}, "Next": "Compute"},
        "Compute": jsonata("Pass", Output="{% " + expression + " %}", End=True),
    }
    assert await run(states) == value


@pytest.mark.parametrize(
    ("result", "output"),
    [
        ({"status": "paid", "more": 1}, {"customer": "Ana", "status": "paid", "execution": "e"}),
        (
            StateError("Declined", "no money"),
            {"details": {"Error": "Declined", "Cause": "no money"}, "input": {"customer": "Ana"}},
        ),
    ],
)
async def test_a_state_sees_its_input_its_result_and_its_error(result: Any, output: Any) -> None:
    catcher = {
        "ErrorEquals": ["States.ALL"],
        "Output": {"details": "{% $states.errorOutput %}", "input": "{% $states.input %}"},
        "Next": "Handle",
    }
    pay = task(
        QueryLanguage="JSONata",
        Output={
            "customer": "{% $states.input.customer %}",
            "status": "{% $states.result.status %}",
            "execution": "{% $states.context.Execution.Name %}",
        },
        Catch=[catcher],
    )
    assert await run({"Pay": pay, "Handle": DONE}, {"customer": "Ana"}, Resource(result)) == output


async def test_expressions_are_the_whole_of_a_field_or_parts_of_it() -> None:
    student = {"name": "Ana", "courses": [{"grade": 34}, {"grade": 99}, {"grade": 76}, {"grade": 96}]}
    states = {
        "Data": {"Type": "Pass", "Assign": {"student": student, "class": {"teacher": "Rui"}, "two": 2}, "Next": "Task"},
        "Task": task(
            QueryLanguage="JSONata",
            Arguments={
                "student": "{% $student.name %}",
                "class": {"teacher": "{% $class.teacher %}"},
                "values": [1, "{% $two %}", "three"],
            },
            Output="{% {'average': $average($student.courses.grade), 'number': $count($student.courses)} %}",
        ),
    }
    resource = Resource(None)
    assert await run(states, None, resource) == {"average": 76.25, "number": 4}
    assert resource.arguments == [{"student": "Ana", "class": {"teacher": "Rui"}, "values": [1, 2, "three"]}]


@pytest.mark.parametrize(
    "fields",
    [
        {"Arguments": "{% $states.input.name + 1 %}"},
        {"TimeoutSeconds": "{% $states.input.name %}"},
        {"Type": "Map", "ToleratedFailurePercentage": "{% $states.input.negative %}", "Items": [1]},
        {"Output": "{% $states.input.gone %}"},
    ],
)
async def test_a_value_that_a_field_does_not_take_is_an_error_that_can_be_caught(fields: dict[str, Any]) -> None:
    state = task(QueryLanguage="JSONata") | fields
    if fields.get("Type") == "Map":
        state = {name: value for name, value in state.items() if name != "Resource"}
        state["ItemProcessor"] = flow(Inner=DONE)
    data = {"name": "Ana", "negative": -1}
    assert (await failure({"S": state}, data))[0] == "States.QueryEvaluationError"
    catch = [{"ErrorEquals": ["States.QueryEvaluationError"], "Output": "caught", "Next": "Done"}]
    assert await run({"S": state | {"Catch": catch}, "Done": DONE}, data) == "caught"


def compute(expression: str) -> dict[str, Any]:
    return {"P": jsonata("Pass", Output="{% " + expression + " %}", End=True)}


@pytest.mark.parametrize("expression", ["$", "$.total", "total"])
async def test_there_is_no_input_document(expression: str) -> None:
    assert (await failure(compute(expression), {"total": 42}))[0] == "States.QueryEvaluationError"


@pytest.mark.parametrize("expression", ["$$", "$$.total"])
def test_the_input_document_cannot_be_named(expression: str) -> None:
    with pytest.raises(DefinitionError, match=r"uses undefined functions or variables: \$\$$"):
        parse(json.dumps({"StartAt": "P", "States": compute(expression)}))


@pytest.mark.parametrize("expression", ["$states.input[$.total > 10].id", "$states.input[total > 10].id"])
async def test_within_an_expression_there_are_values_in_context(expression: str) -> None:
    assert await run(compute(expression), [{"id": 1, "total": 5}, {"id": 2, "total": 42}]) == 2


async def test_a_template_without_expressions_stays_as_it_is() -> None:
    resource = Resource(None)
    await run({"X": task(Parameters={"first": 88, "second": 99})}, {"third": 77}, resource)
    assert resource.arguments == [{"first": 88, "second": 99}]


@pytest.mark.parametrize("field", ["InputPath", "OutputPath"])
async def test_several_values_become_a_list(field: str) -> None:
    assert await run({"P": {"Type": "Pass", field: "$.a[0,1]", "End": True}}, {"a": [1, 2, 3, 4]}) == [1, 2]


@pytest.mark.parametrize(
    ("path", "data", "output"),
    [
        ("$.outer.list", {"outer": {"list": [1, 2, 3]}}, {"outer": {"list": 6}}),
        ("$.outer.result.sum", {"outer": {"list": [1, 2]}}, {"outer": {"list": [1, 2], "result": {"sum": 6}}}),
        ("$.b.greeting", {"a": 1}, {"a": 1, "b": {"greeting": 6}}),
    ],
)
async def test_a_result_takes_its_place_in_the_input(path: str, data: Any, output: Any) -> None:
    assert await run({"T": task(ResultPath=path)}, data, Resource(6)) == output


async def test_a_result_that_has_no_place_fails_the_execution() -> None:
    assert (await failure({"T": task(ResultPath="$.x")}, "foo"))[0] == "States.ResultPathMatchFailure"


TIMEOUT = {"ErrorEquals": ["States.Timeout"], "IntervalSeconds": 3, "MaxAttempts": 2, "BackoffRate": 2.0}


@pytest.mark.parametrize(
    ("retry", "errors", "outcome", "seconds"),
    [
        ([TIMEOUT], ["States.Timeout"] * 2, "done", 3 + 6),
        ([TIMEOUT | {"MaxDelaySeconds": 4}], ["States.Timeout"] * 2, "done", 3 + 4),
        ([TIMEOUT], ["States.Timeout"] * 3, "States.Timeout", 3 + 6),
        ([TIMEOUT | {"MaxAttempts": 0}, {"ErrorEquals": ["States.ALL"]}], ["Other"] * 3, "done", 1 + 2 + 4),
        ([TIMEOUT | {"MaxAttempts": 0}, {"ErrorEquals": ["States.ALL"]}], ["States.Timeout"], "States.Timeout", 0),
    ],
)
def test_the_retriers_of_the_specification(retry: Any, errors: list[str], outcome: str, seconds: float) -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$", "Next": "Caught"}]
    caught = {"Type": "Pass", "OutputPath": "$.Error", "End": True}
    resource = Resource(*map(StateError, errors), "done")
    found = in_virtual_time({"T": task(Retry=retry, Catch=catch), "Caught": caught}, {}, resource)
    assert found == (outcome, seconds)


def test_a_jitter_strategy_that_aws_does_not_have_is_refused() -> None:
    states = {"T": task(Retry=[TIMEOUT | {"JitterStrategy": "SAMPLE"}])}
    with pytest.raises(DefinitionError, match="JitterStrategy"):
        parse(json.dumps({"StartAt": "T", "States": states}), AnyResource())


@pytest.mark.parametrize(
    ("error", "output"),
    [
        ("java.lang.Exception", {"id": 1, "error-info": {"Error": "java.lang.Exception", "Cause": "c"}}),
        ("VeryFatalError", [{"Error": "VeryFatalError", "Cause": "c"}, True]),
        ("Other", [{"Error": "Other", "Cause": "c"}, False]),
    ],
)
async def test_the_catchers_of_the_specification_in_jsonata(error: str, output: Any) -> None:
    catch = [
        {
            "ErrorEquals": ["java.lang.Exception"],
            "Output": "{% $merge([$states.input, {'error-info': $states.errorOutput}]) %}",
            "Next": "Recovery",
        },
        {
            "ErrorEquals": ["States.ALL"],
            "Assign": {"critical": "{% $contains($lowercase($states.errorOutput.Error), /.*fatal.*/) %}"},
            "Next": "End",
        },
    ]
    states = {
        "T": task(QueryLanguage="JSONata", Catch=catch),
        "Recovery": DONE,
        "End": jsonata("Succeed", Output=["{% $states.input %}", "{% $critical %}"]),
    }
    assert await run(states, {"id": 1}, Resource(StateError(error, "c"))) == output


@pytest.mark.parametrize(
    ("error", "output"),
    [
        ("java.lang.Exception", {"id": 1, "error-info": {"Error": "java.lang.Exception", "Cause": "c"}}),
        ("Other", {"error": {"Error": "Other", "Cause": "c"}, "failed": True}),
    ],
)
async def test_the_catchers_of_the_specification_in_jsonpath(error: str, output: Any) -> None:
    catch = [
        {"ErrorEquals": ["java.lang.Exception"], "ResultPath": "$.error-info", "Next": "Recovery"},
        {"ErrorEquals": ["States.ALL"], "Assign": {"failed": True}, "Next": "End"},
    ]
    end = {"Type": "Pass", "Parameters": {"error.$": "$", "failed.$": "$failed"}, "End": True}
    states = {"T": task(Catch=catch), "Recovery": DONE, "End": end}
    assert await run(states, {"id": 1}, Resource(StateError(error, "c"))) == output


@pytest.mark.parametrize(("data", "more"), [({"more": {"a": 1}}, {"a": 1}), ({}, {})])
async def test_a_pass_assigns_what_is_there_or_something_else(data: Any, more: Any) -> None:
    place = {"x": 0.38, "more": "{% $exists($states.input.more) ? $states.input.more : {} %}"}
    states = {
        "Provide": jsonata("Pass", Assign={"place": place}, Next="End"),
        "End": jsonata("Succeed", Output={"input": "{% $states.input %}", "place": "{% $place %}"}),
    }
    assert await run(states, data) == {"input": data, "place": {"x": 0.38, "more": more}}


@pytest.mark.parametrize(
    ("data", "value", "expected"),
    [
        ({"type": "Public"}, 23, ["Public", {"type": "Public"}, "none"]),
        ({"type": "Private"}, 23, ["Twenties", {"type": "Private"}, "twenties"]),
        ({"type": "Private", "rating": 9, "threshold": 4}, 33, ["Audit", {"excess": 5}, "none"]),
        (
            {"type": "Private", "rating": 3, "threshold": 4},
            "text",
            ["Record", {"type": "Private", "rating": 3, "threshold": 4}, "default"],
        ),
    ],
)
async def test_a_choice_in_jsonata_has_an_output_and_variables_for_each_rule(
    data: Any, value: Any, expected: Any
) -> None:
    number = "$exists($value) and $type($value) = 'number' and $value >= 20 and $value < 30"
    rating, threshold = "$states.input.rating", "$states.input.threshold"
    dispatch = jsonata(
        "Choice",
        Choices=[
            {"Condition": "{% $states.input.type != 'Private' %}", "Next": "Public"},
            {"Condition": "{% " + number + " %}", "Assign": {"range": "twenties"}, "Next": "Twenties"},
            {
                "Condition": "{% " + f"{rating} >= {threshold}" + " %}",
                "Output": {"excess": "{% " + f"{rating} - {threshold}" + " %}"},
                "Next": "Audit",
            },
        ],
        Default="Record",
        Assign={"range": "default"},
    )
    states = {
        "Values": {"Type": "Pass", "Assign": {"value": value, "range": "none"}, "Next": "Dispatch"},
        "Dispatch": dispatch,
    } | {
        name: jsonata("Pass", Output=[name, "{% $states.input %}", "{% $range %}"], End=True)
        for name in ("Public", "Twenties", "Audit", "Record")
    }
    assert await run(states, data) == expected


def test_a_wait_in_jsonata_ends_at_a_moment_in_its_input() -> None:
    state = jsonata("Wait", Timestamp="{% $states.input.at %}", End=True)
    data = {"at": "2016-03-14T01:59:00Z"}
    assert in_virtual_time({"W": state}, data) == (data, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"Error": "Broken", "Cause": "a wheel"},
        {"QueryLanguage": "JSONata", "Error": "{% $states.input.error %}", "Cause": "{% $states.input.cause %}"},
        {"ErrorPath": "$.error", "CausePath": "$.cause"},
    ],
)
async def test_a_fail_state_has_an_error_and_a_cause_or_computes_them(fields: dict[str, Any]) -> None:
    states = {"F": {"Type": "Fail", "Comment": "mine"} | fields}
    assert await failure(states, {"error": "Broken", "cause": "a wheel"}) == ("Broken", "a wheel")


async def test_branches_have_tasks_of_their_own() -> None:
    found = {"address": {"city": "Lisboa"}, "phone": "123"}

    async def look_up(call: Any) -> Any:
        assert call.arguments == {"customer": 7}
        return found[call.resource]

    branches = [flow(Address=task(Resource="address")), flow(Phone=task(Resource="phone"))]
    states = {"LookUp": {"Type": "Parallel", "Branches": branches, "Next": "Next"}, "Next": DONE}
    assert await run(states, {"customer": 7}, look_up) == [{"city": "Lisboa"}, "123"]


@pytest.mark.parametrize("selected", [False, True])
async def test_the_maps_of_the_specification_in_jsonata(selected: bool) -> None:
    items = [{"product": "R31", "quantity": 3}, {"product": "S39", "quantity": 4}]
    selector = {"parcel": "{% $states.context.Map.Item.Value %}", "courier": "{% $states.input.detail.courier %}"}
    state = jsonata(
        "Map",
        Items="{% $states.input.detail.items %}",
        MaxConcurrency=0,
        ItemProcessor=flow(Validate=task()),
        Assign={"shipped": "{% $states.result %}"},
        Output={"number": "{% $count($states.input.detail.items) %}"},
        Next="Shipped",
        **({"ItemSelector": selector} if selected else {}),
    )
    shipped = jsonata("Pass", Output=["{% $states.input %}", "{% $shipped %}"], End=True)
    resource = Resource("first", "second")
    found = await run({"All": state, "Shipped": shipped}, {"detail": {"courier": "UQS", "items": items}}, resource)
    assert found == [{"number": 2}, ["first", "second"]]
    expected = [{"parcel": item, "courier": "UQS"} for item in items] if selected else items
    assert resource.arguments == expected

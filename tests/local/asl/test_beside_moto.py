"""JSONPath states run here and by moto's interpreter, which comes from LocalStack and was checked against AWS.

Where both differ, the difference is in DIFFERENCES with its reason, and is not generated.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.evaluation_details import AWSExecutionDetails
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventHistoryContext
from moto.stepfunctions.parser.asl.eval.program_state import ProgramEnded
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser

from service.local.asl.definition import parse
from service.local.asl.interpreter import Interpreter
from service.local.asl.retry import StateError
from service.local.asl.run import Run
from tests.local.asl.running import Resource

FAILED = object()
NAMES = st.sampled_from("abc")
SCALARS = (
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "a", "b,c", "2024-01-01T00:00:00Z", "{}"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
DATA = st.fixed_dictionaries(
    {"a": VALUES, "b": VALUES, "z": st.none(), "n": st.integers(-5, 5), "l": st.lists(st.integers(0, 3), min_size=1)}
)
STEPS = st.sampled_from([".a", ".b", ".c", "[0]", "['a']"])
PATHS = st.one_of(
    st.lists(STEPS, max_size=3).map(lambda steps: "$" + "".join(steps)),
    st.sampled_from(
        ["$.n", "$.z", "$.l", "$.l[0]", "$$.Execution.Input.n", "$$.Execution.Name", "$$.StateMachine.Name"]
    ),
)
# In calls, moto's grammar has no names in brackets.
DOTTED = PATHS.filter(lambda path: "['" not in path)
CALLS = st.one_of(
    st.tuples(DOTTED, DOTTED).map(lambda paths: f"States.Format('{{}} and {{}}', {paths[0]}, {paths[1]})"),
    st.tuples(DOTTED, DOTTED).map(lambda paths: f"States.Array({paths[0]}, 'x', 1, {paths[1]})"),
    DOTTED.map(lambda path: f"States.JsonToString({path})"),
    st.sampled_from(
        [
            "States.ArrayLength($.l)",
            "States.ArrayUnique($.l)",
            "States.ArrayPartition($.l, 2)",
            "States.ArrayContains($.l, 2)",
            "States.ArrayGetItem($.l, 0)",
            "States.ArrayRange(0, 4, 2)",
            "States.MathAdd($.n, 3)",
            "States.StringSplit('a,b c', ', ')",
            "States.Base64Decode(States.Base64Encode('a'))",
            "States.Hash('a', 'SHA-256')",
            "States.JsonMerge($, $$.StateMachine, false)",
            "States.StringToJson('[1]')",
        ]
    ),
)
TEMPLATES = st.dictionaries(st.sampled_from(["a.$", "b.$", "c.$"]), PATHS | CALLS, min_size=1).map(
    lambda fields: {**fields, "d": {"e.$": fields.get("a.$", "$.n")}, "f": [1, "$.a"]}
)
RESULT_PATHS = st.sampled_from(["$", "$.a", "$.d", "$.d.e"]) | st.none()
PASSES = st.fixed_dictionaries(
    {},
    optional={
        "InputPath": PATHS | st.none(),
        "Parameters": TEMPLATES,
        "ResultPath": RESULT_PATHS,
        "OutputPath": PATHS | st.none(),
    },
)
COMPARISONS = st.one_of(
    st.tuples(
        st.sampled_from(["IsNull", "IsPresent", "IsNumeric", "IsString", "IsBoolean", "IsTimestamp"]), st.booleans()
    ),
    st.tuples(
        st.sampled_from([f"Numeric{name}" for name in ("Equals", "LessThan", "GreaterThanEquals")]), st.integers(-5, 5)
    ),
    st.tuples(st.sampled_from(["StringEquals", "StringGreaterThan"]), st.sampled_from(["a", "b,c"])),
    st.tuples(st.just("StringMatches"), st.sampled_from(["*", "b*", "*,*"])),
    st.tuples(st.just("BooleanEquals"), st.booleans()),
    st.tuples(st.just("NumericEqualsPath"), st.just("$.n")),
)
RULES = st.recursive(
    st.tuples(PATHS, COMPARISONS).map(lambda drawn: guarded(*drawn)),
    lambda inner: st.one_of(
        inner.map(lambda rule: {"Not": rule}),
        st.lists(inner, min_size=1, max_size=2).map(lambda rules: {"And": rules}),
        st.lists(inner, min_size=1, max_size=2).map(lambda rules: {"Or": rules}),
    ),
    max_leaves=3,
)
ENDS = {name: {"Type": "Pass", "Result": name, "End": True} for name in ("yes", "no")}

DIFFERENCES: list[tuple[str, dict[str, Any], Any, Any, Any]] = [
    (
        "a query returns a list on AWS even if it finds one value: it is an indefinite path for Jayway JsonPath",
        {"Type": "Pass", "InputPath": "$..y", "End": True},
        {"l": {"x": 1, "y": 2}},
        [2],
        2,
    ),
    (
        "a query that finds nothing returns an empty list on AWS: only definite paths fail in Jayway JsonPath",
        {"Type": "Pass", "InputPath": "$.l[?(@.x == 1)]", "End": True},
        {"l": []},
        [],
        FAILED,
    ),
    (
        "a comparison of a variable that is missing fails on AWS: Invalid path '$.x'",
        {"Type": "Choice", "Choices": [{"Variable": "$.x", "NumericEquals": 1, "Next": "yes"}], "Default": "no"},
        {},
        FAILED,
        "no",
    ),
]


def guarded(path: str, comparison: tuple[str, Any]) -> dict[str, Any]:
    """Compare only what is there: see DIFFERENCES."""
    rule = {"Variable": path, comparison[0]: comparison[1]}
    return rule if "IsPresent" in rule else {"And": [{"Variable": path, "IsPresent": True}, rule]}


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """Moto logs every failure."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.root.manager, "disable", logging.CRITICAL)
        yield


def ours(states: dict[str, Any], data: Any) -> Any:
    machine = parse(json.dumps({"StartAt": "S", "States": states}))
    execution = Run({"Execution": {"Name": "e", "Input": data}, "StateMachine": {"Name": "m"}})
    try:
        return asyncio.run(Interpreter(Resource(None)).run(machine.flow, data, execution))
    except StateError:
        return FAILED


def motos(states: dict[str, Any], data: Any) -> Any:
    program, _ = AmazonStateLanguageParser.parse(json.dumps({"StartAt": "S", "States": states}))
    kind: Any = "STANDARD"
    context: Any = {"Execution": {"Name": "e", "Input": json.loads(json.dumps(data))}, "StateMachine": {"Name": "m"}}
    environment = Environment(
        aws_execution_details=AWSExecutionDetails(account="0" * 12, region="us-east-1", role_arn=""),
        execution_type=kind,
        context=context,
        event_history_context=EventHistoryContext.of_program_start(),
        cloud_watch_logging_session=None,
        activity_store={},
    )
    program.eval(environment)
    return environment.states.get_input() if isinstance(environment.program_state(), ProgramEnded) else FAILED


def both(states: dict[str, Any], data: Any) -> tuple[Any, Any]:
    return ours(states, data), motos(states, data)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(PASSES, DATA)
def test_data_passes_through_a_state_as_in_moto(fields: dict[str, Any], data: Any) -> None:
    here, there = both({"S": {"Type": "Pass", "End": True, **fields}}, data)
    assert here == there or (here is there is FAILED)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(RULES, DATA)
def test_a_choice_decides_as_in_moto(rule: dict[str, Any], data: Any) -> None:
    here, there = both({"S": {"Type": "Choice", "Choices": [{**rule, "Next": "yes"}], "Default": "no"}, **ENDS}, data)
    assert here == there


@pytest.mark.parametrize(("reason", "state", "data", "here", "there"), DIFFERENCES)
def test_where_both_differ_there_is_a_reason(
    reason: str, state: dict[str, Any], data: Any, here: Any, there: Any
) -> None:
    assert both({"S": state} | (ENDS if state["Type"] == "Choice" else {}), data) == (here, there), reason

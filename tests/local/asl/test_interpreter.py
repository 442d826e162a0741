from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from service.local.asl.definition import parse
from service.local.asl.interpreter import Interpreter
from service.local.asl.retry import StateError
from service.local.asl.run import Run, TaskCall
from tests.local.conftest import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HTTP = "arn:aws:states:::http:invoke"
ALL = ["States.ALL"]


class Endpoint:
    """A stand-in for http:invoke: returns or raises one result per call, and repeats the last one."""

    def __init__(self, *results: Any) -> None:
        self.results = results
        self.calls: list[Any] = []

    async def __call__(self, call: TaskCall) -> Any:
        result = self.results[min(len(self.calls), len(self.results) - 1)]
        self.calls.append(call.arguments)
        if isinstance(result, StateError):
            raise result
        return await result if asyncio.iscoroutine(result) else result


async def run(
    states: dict[str, Any],
    data: Any = None,
    invoke: Callable[[TaskCall], Awaitable[Any]] | None = None,
    context: Any = None,
) -> Any:
    """Run a state machine made of these states, starting at the first one."""
    definition = {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states}
    machine = parse(json.dumps(definition))
    async with asyncio.timeout(DEADLINE):
        return await Interpreter(invoke or Endpoint(None)).run(machine.flow, data, Run(context or {}))


async def failure(states: dict[str, Any], data: Any = None, invoke: Any = None) -> tuple[str, str]:
    with pytest.raises(StateError) as caught:
        await run(states, data, invoke)
    return caught.value.error, caught.value.cause


def task(**fields: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": HTTP, "Arguments": "{% $states.input %}", "End": True} | fields


def ending(output: Any) -> dict[str, Any]:
    return {"Type": "Succeed", "Output": output}


async def test_a_pass_without_output_passes_on_its_input() -> None:
    assert await run({"A": {"Type": "Pass", "End": True}}, {"a": [None]}) == {"a": [None]}


async def test_templates_are_evaluated_at_any_depth_and_other_values_stay() -> None:
    output = {"a": [1, {"b": "{% $states.input.x %}"}, None, True], "c": "plain"}
    assert await run({"A": ending(output)}, {"x": None}) == {"a": [1, {"b": None}, None, True], "c": "plain"}


async def test_output_and_assign_see_the_variables_before_the_assignment() -> None:
    states = {
        "A": {"Type": "Pass", "Assign": {"n": 1}, "Next": "B"},
        "B": {"Type": "Pass", "Assign": {"n": "{% $n + 1 %}", "m": "{% $n %}"}, "Output": "{% $n %}", "Next": "C"},
        "C": ending({"n": "{% $n %}", "m": "{% $m %}", "input": "{% $states.input %}"}),
    }
    assert await run(states) == {"n": 2, "m": 1, "input": 1}


async def test_expressions_can_use_the_context_object() -> None:
    output = "{% $states.context.Execution.Name %}"
    assert await run({"A": ending(output)}, context={"Execution": {"Name": "exec-1"}}) == "exec-1"


async def test_a_choice_takes_the_first_true_rule_with_its_own_output_and_assign() -> None:
    choice = {
        "Type": "Choice",
        "Choices": [
            {"Condition": "{% $states.input > 5 %}", "Next": "Big", "Output": "rule", "Assign": {"v": "big"}},
            {"Condition": "{% $states.input > 2 %}", "Next": "Big"},
        ],
        "Output": "default",
        "Assign": {"v": "small"},
        "Default": "Big",
    }
    states = {"A": {"Type": "Pass", "Assign": {"v": "none"}, "Next": "C"}, "C": choice}
    states["Big"] = ending(["{% $states.input %}", "{% $v %}"])
    assert await run(states, 9) == ["rule", "big"]
    assert await run(states, 3) == [3, "none"]
    assert await run(states, 1) == ["default", "small"]


async def test_a_choice_without_a_match_fails() -> None:
    choice = {"Type": "Choice", "Choices": [{"Condition": "{% false %}", "Next": "A"}]}
    assert (await failure({"A": choice}))[0] == "States.NoChoiceMatched"


async def test_a_condition_other_than_a_boolean_fails() -> None:
    choice = {"Type": "Choice", "Choices": [{"Condition": "{% 1 %}", "Next": "A"}], "Default": "A"}
    assert (await failure({"A": choice}))[0] == "States.QueryEvaluationError"


@pytest.mark.parametrize(
    "seconds", ["{% $states.input.no %}", "{% 'x' %}", "{% true %}", "{% -1 %}", "{% 100000000 %}"]
)
async def test_a_wait_with_invalid_seconds_fails(seconds: Any) -> None:
    assert (await failure({"A": {"Type": "Wait", "Seconds": seconds, "End": True}}))[0] == "States.QueryEvaluationError"


async def test_a_wait_waits() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await run({"A": {"Type": "Wait", "Seconds": "{% 0.05 %}", "End": True}}, 1) == 1
    assert loop.time() - began >= 0.045


async def test_a_fail_state_evaluates_its_error_and_cause() -> None:
    fail = {"Type": "Fail", "Error": "{% $states.input.e %}", "Cause": "why"}
    assert await failure({"A": fail}, {"e": "Mine"}) == ("Mine", "why")
    assert await failure({"A": {"Type": "Fail"}}) == ("", "")
    assert (await failure({"A": fail}, {"e": 1}))[0] == "States.QueryEvaluationError"


async def test_a_task_passes_on_its_result_and_output_can_use_it() -> None:
    assert await run({"A": task()}, {"a": 1}, Endpoint({"r": 1})) == {"r": 1}
    assert await run({"A": task()}, {"a": 1}, Endpoint(None)) is None
    output = "{% $states.result.r + $states.input.a %}"
    assert await run({"A": task(Output=output)}, {"a": 1}, Endpoint({"r": 1})) == 2


async def test_each_retrier_counts_its_own_attempts() -> None:
    retry = [
        {"ErrorEquals": ["A"], "MaxAttempts": 2, "IntervalSeconds": 0},
        {"ErrorEquals": ["States.TaskFailed"], "MaxAttempts": 1, "IntervalSeconds": 0},
    ]
    endpoint = Endpoint(StateError("A"), StateError("B"), StateError("A"), 7)
    assert await run({"T": task(Retry=retry)}, 1, endpoint) == 7
    endpoint = Endpoint(StateError("A"))
    assert await failure({"T": task(Retry=retry)}, 1, endpoint) == ("A", "")
    assert len(endpoint.calls) == 3


async def test_a_retrier_with_zero_attempts_hides_its_errors_from_the_next_one() -> None:
    retry = [{"ErrorEquals": ["A"], "MaxAttempts": 0}, {"ErrorEquals": ALL, "IntervalSeconds": 0}]
    endpoint = Endpoint(StateError("A"), 7)
    assert (await failure({"T": task(Retry=retry)}, 1, endpoint))[0] == "A"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, [1, 2, 4]),
        ({"BackoffRate": 3, "MaxDelaySeconds": 5, "IntervalSeconds": 2}, [2, 5, 5]),
        ({"JitterStrategy": "FULL"}, [0.5, 1, 2]),
    ],
)
async def test_retry_delays_grow_up_to_a_maximum_and_have_jitter(
    more: dict[str, Any], expected: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("service.local.asl.interpreter.asyncio.sleep", sleep)
    monkeypatch.setattr("service.local.asl.retry.random.uniform", lambda low, high: (low + high) / 2)
    await failure({"T": task(Retry=[{"ErrorEquals": ALL} | more])}, 1, Endpoint(StateError("A")))
    assert slept == expected


async def test_a_catcher_continues_with_the_error_and_its_own_output_and_assign() -> None:
    catch = [
        {"ErrorEquals": ["Other"], "Next": "End"},
        {
            "ErrorEquals": ["States.Timeout", "A"],
            "Next": "End",
            "Output": "{% $states.errorOutput.Cause & $states.input %}",
            "Assign": {"e": "{% $states.errorOutput.Error %}"},
        },
    ]
    states = {"S": {"Type": "Pass", "Assign": {"e": 0}, "Next": "T"}, "T": task(Catch=catch)}
    states["End"] = ending(["{% $states.input %}", "{% $e %}"])
    assert await run(states, "!", Endpoint(StateError("A", "why"))) == ["why!", "A"]
    assert await run(states, "!", Endpoint(StateError("Other", "x"))) == [{"Error": "Other", "Cause": "x"}, 0]


async def test_a_catcher_does_not_see_the_result_of_which_no_output_could_be_made() -> None:
    catch = [{"ErrorEquals": ALL, "Next": "End", "Output": "{% $exists($states.result) %}"}]
    states = {"T": task(Output="{% $states.result.no %}", Catch=catch), "End": {"Type": "Succeed"}}
    assert await run(states, 1, Endpoint({"r": 1})) is False


@pytest.mark.parametrize(
    ("handler", "error", "caught"),
    [
        ("States.ALL", "States.Timeout", True),
        ("States.ALL", "States.QueryEvaluationError", True),
        ("States.ALL", "States.DataLimitExceeded", False),
        ("States.ALL", "States.Runtime", False),
        ("States.Runtime", "States.Runtime", False),
        ("States.DataLimitExceeded", "States.DataLimitExceeded", True),
        ("States.TaskFailed", "States.Http.StatusCode.500", True),
        ("States.TaskFailed", "States.Timeout", False),
        ("States.TaskFailed", "States.DataLimitExceeded", False),
        ("States.Http.StatusCode.500", "States.Http.StatusCode.502", False),
    ],
)
async def test_wildcards_match_as_specified(handler: str, error: str, caught: bool) -> None:
    states = {"T": task(Catch=[{"ErrorEquals": [handler], "Next": "End"}]), "End": ending("caught")}
    if caught:
        assert await run(states, 1, Endpoint(StateError(error))) == "caught"
    else:
        assert (await failure(states, 1, Endpoint(StateError(error))))[0] == error


async def test_an_expression_that_fails_in_a_task_is_caught() -> None:
    catch = [{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "End"}]
    states = {"T": task(Arguments="{% $states.input.no %}", Catch=catch), "End": ending("caught")}
    assert await run(states, {}) == "caught"


async def test_a_task_is_given_its_state_its_resource_and_its_times() -> None:
    calls: list[TaskCall] = []

    async def invoke(call: TaskCall) -> None:
        calls.append(call)

    await run({"T": task(TimeoutSeconds="{% $states.input %}", HeartbeatSeconds=1)}, 2, invoke)
    (call,) = calls
    assert (call.state, call.resource, call.timeout_s, call.heartbeat_s, call.token) == ("T", HTTP, 2, 1, "")


async def test_data_above_the_limit_fails() -> None:
    big = "{% $join($map([1..30000], function($v) { '0123456789' })) %}"
    assert (await failure({"A": {"Type": "Pass", "Output": big, "End": True}}))[0] == "States.DataLimitExceeded"
    assert (await failure({"T": task(Output=1)}, 1, Endpoint("x" * 262_143)))[0] == "States.DataLimitExceeded"


def branch(**states: Any) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


async def test_a_parallel_returns_the_outputs_of_its_branches_in_order() -> None:
    slow = {"Type": "Wait", "Seconds": "{% 0.02 %}", "Output": "{% $states.input.a & $v %}", "End": True}
    both = {"Type": "Parallel", "Branches": [branch(W=slow), branch(P=ending("{% $states.input %}"))], "End": True}
    states = {"A": {"Type": "Pass", "Assign": {"v": "!"}, "Next": "B"}, "B": both}
    assert await run(states, {"a": "x"}) == ["x!", {"a": "x"}]
    states["B"] = both | {"Arguments": {"a": "y"}, "Output": "{% $states.result[0] %}"}
    assert await run(states, {"a": "x"}) == "y!"


async def test_variables_of_a_branch_are_local_to_it() -> None:
    one = branch(I={"Type": "Pass", "Assign": {"own": 2}, "Next": "J"}, J=ending("{% $own + $v %}"))
    other = branch(K={"Type": "Pass", "Assign": {"own": 20}, "Next": "L"}, L=ending("{% $own + $v %}"))
    states = {
        "A": {"Type": "Pass", "Assign": {"v": 1}, "Next": "P"},
        "P": {"Type": "Parallel", "Branches": [one, other], "Next": "E"},
        "E": ending("{% [$states.input, $v] %}"),
    }
    assert await run(states) == [3, 21, 1]


async def test_a_failed_branch_cancels_the_others_and_can_be_caught_by_its_error() -> None:
    cancelled = asyncio.Event()

    async def invoke(_: Any) -> None:
        try:
            await asyncio.sleep(DEADLINE)
        finally:
            cancelled.set()

    parallel = {
        "Type": "Parallel",
        "Branches": [branch(T=task()), branch(F={"Type": "Fail", "Error": "Mine", "Cause": "why"})],
        "Catch": [{"ErrorEquals": ["Mine"], "Next": "E"}],
        "Next": "E",
    }
    states = {"P": parallel, "E": ending("{% $states.input %}")}
    assert await run(states, 1, invoke) == {"Error": "Mine", "Cause": "why"}
    assert cancelled.is_set()


async def test_a_parallel_is_retried_as_a_whole() -> None:
    retry = [{"ErrorEquals": ["A"], "IntervalSeconds": 0}]
    parallel = {"Type": "Parallel", "Branches": [branch(T=task())], "Retry": retry, "End": True}
    assert await run({"P": parallel}, 1, Endpoint(StateError("A"), 7)) == [7]

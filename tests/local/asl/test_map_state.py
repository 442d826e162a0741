from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from service.local.asl.definition import DefinitionError, parse
from service.local.asl.interpreter import Interpreter
from service.local.asl.retry import StateError
from service.local.asl.run import Run
from tests.local.asl.running import CONTEXT, AnyResource, Resource, failure, flow, run, task

SHIPPED = [{"prod": "R31", "quantity": 1}, {"prod": "S39", "quantity": 2}]
ORDER = {"ship-date": "2016-03-14T01:59:00Z", "detail": {"delivery-partner": "UQS", "shipped": SHIPPED}}


def mapped(state: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {"M": {"Type": "Map", "ItemProcessor": flow(T=state or task()), "End": True} | fields}


def failing(*indexes: int) -> Resource:
    """Fail for these items, which are their own indexes."""

    def call(item: int) -> int:
        if item in indexes:
            raise StateError("Mine", str(item))
        return item * 10

    return Resource(call)


async def test_the_map_of_the_specification_gets_the_items_at_its_path() -> None:
    resource = Resource(lambda item: item["prod"])
    states = mapped(InputPath="$.detail", ItemsPath="$.shipped", MaxConcurrency=0, ResultPath="$.detail.shipped")
    output = await run(states, ORDER, resource)
    assert output == {**ORDER, "detail": {"delivery-partner": "UQS", "shipped": ["R31", "S39"]}}
    assert resource.arguments == SHIPPED


@pytest.mark.parametrize("field", ["ItemSelector", "Parameters"])
async def test_the_selector_of_the_specification_makes_the_input_of_each_iteration(field: str) -> None:
    selector = {"parcel.$": "$$.Map.Item.Value", "courier.$": "$.delivery-partner", "n.$": "$$.Map.Item.Index"}
    resource = Resource(None)
    states = mapped(InputPath="$.detail", ItemsPath="$.shipped", **{field: selector})
    await run(states, ORDER, resource)
    assert resource.arguments == [{"parcel": item, "courier": "UQS", "n": n} for n, item in enumerate(SHIPPED)]


async def test_states_within_an_iteration_see_its_item_in_the_context_object() -> None:
    inner = task(Parameters={"n.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value.a"})
    resource = Resource(None)
    await run(mapped(inner, ItemSelector={}), [{"a": 1}, {"a": 2}], resource)
    assert resource.arguments == [{"n": 0, "v": 1}, {"n": 1, "v": 2}]


async def test_no_items_give_no_results_and_an_iterator_is_the_same_as_a_processor() -> None:
    states = mapped()
    states["M"]["Iterator"] = states["M"].pop("ItemProcessor")
    assert await run(states, []) == []
    assert await run(states, [1], Resource("r")) == ["r"]


@pytest.mark.parametrize("items", [None, 1, "text"])
async def test_items_that_are_not_a_list_fail_the_execution(items: Any) -> None:
    assert await failure(mapped(), items) == ("States.Runtime", "state 'M': the items of a Map must be an array")


@pytest.mark.parametrize(("fields", "most"), [({"MaxConcurrency": 2}, 2), ({"MaxConcurrencyPath": "$.n"}, 3), ({}, 6)])
async def test_at_most_so_many_iterations_run_at_once_and_the_results_keep_the_order(
    fields: dict[str, Any], most: int
) -> None:
    now = highest = 0

    async def resource(call: Any) -> Any:
        nonlocal now, highest
        now += 1
        highest = max(highest, now)
        for _ in range(10 - call.arguments):
            await asyncio.sleep(0)
        now -= 1
        return call.arguments

    assert await run(mapped(ItemsPath="$.l", **fields), {"n": 3, "l": [*range(6)]}, resource) == [*range(6)]
    assert highest == most


async def test_the_first_failure_is_that_of_the_state_and_can_be_caught_or_retried() -> None:
    assert await failure(mapped(), [0, 1], failing(1)) == ("Mine", "1")
    catch = [{"ErrorEquals": ["Mine"], "ResultPath": "$[2]", "Next": "D"}]
    states = mapped(Catch=catch) | {"D": {"Type": "Succeed"}}
    assert await run(states, [0, 1], failing(1)) == [0, 1, {"Error": "Mine", "Cause": "1"}]
    once = Resource(StateError("Mine"), 7)
    assert await run(mapped(Retry=[{"ErrorEquals": ["Mine"], "IntervalSeconds": 0}]), [0], once) == [7]


@pytest.mark.parametrize(
    ("fields", "failed", "tolerated"),
    [
        ({"ToleratedFailureCount": 1}, (1,), True),
        ({"ToleratedFailureCount": 1}, (1, 2), False),
        ({"ToleratedFailurePercentage": 50}, (1, 2), True),
        ({"ToleratedFailurePercentagePath": "$.p"}, (1, 2), False),
        ({"ToleratedFailurePercentage": 100, "ToleratedFailureCount": 0}, (1,), False),
    ],
)
async def test_failures_are_tolerated_up_to_the_lower_threshold(
    fields: dict[str, Any], failed: tuple[int, ...], tolerated: bool
) -> None:
    states, data = mapped(ItemsPath="$.l", **fields), {"p": 25, "l": [0, 1, 2, 3]}
    if tolerated:
        assert await run(states, data, failing(*failed)) == [item * 10 for item in range(4) if item not in failed]
    else:
        assert (await failure(states, data, failing(*failed)))[0] == "States.ExceedToleratedFailureThreshold"


async def test_items_are_put_together_in_batches_of_so_many_items_or_bytes() -> None:
    batcher = {"MaxItemsPerBatch": 2, "MaxInputBytesPerBatchPath": "$.bytes", "BatchInput": {"of.$": "$.name"}}
    resource = Resource(None)
    states = mapped(ItemsPath="$.l", ItemBatcher=batcher)
    await run(states, {"l": [1, 2, "four", 4, 5], "bytes": 7, "name": "b"}, resource)
    items = [[1, 2], ["four", 4], [5]]
    assert resource.arguments == [{"Items": batch, "BatchInput": {"of": "b"}} for batch in items]


async def test_iterations_see_the_variables_outside_and_keep_their_own() -> None:
    inner = {"Type": "Pass", "Assign": {"own": 2}, "Parameters": {"v.$": "$v"}, "End": True}
    states = {"A": {"Type": "Pass", "Assign": {"v": 1}, "Next": "M"}} | mapped(inner, Next="E", End=False)
    states["E"] = {"Type": "Pass", "Parameters": {"results.$": "$", "v.$": "$v"}, "End": True}
    assert await run(states, [0, 0]) == {"results": [{"v": 1}, {"v": 1}], "v": 1}


@pytest.mark.parametrize("mode", ["INLINE", "DISTRIBUTED"])
def test_an_iteration_may_not_assign_a_variable_that_it_sees(mode: str) -> None:
    inner = flow(T={"Type": "Pass", "Assign": {"v": 2}, "End": True}) | {"ProcessorConfig": {"Mode": mode}}
    states = {"A": {"Type": "Pass", "Assign": {"v": 1}, "Next": "M"}, **mapped(ItemProcessor=inner)}
    definition = json.dumps({"StartAt": "A", "States": states})
    if mode == "DISTRIBUTED":  # it sees none
        assert parse(definition).flow.start_at == "A"
    else:
        with pytest.raises(DefinitionError, match=r"state 'T', field Assign: \$v is assigned in an outer scope"):
            parse(definition)


async def test_in_jsonata_the_items_may_be_an_object() -> None:
    inner = {"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $states.context.Map.Item.Key %}", "End": True}
    states = mapped(inner, QueryLanguage="JSONata", Items="{% $states.input.o %}")
    assert await run(states, {"o": {"a": 1, "b": 2}}) == ["a", "b"]


async def test_the_history_has_every_iteration() -> None:
    execution = Run(CONTEXT)
    await run(mapped(MaxConcurrency=1), [5, 6], Resource(None), execution)
    kinds = [event.kind for event in execution.events if "Iteration" in event.kind or event.kind.startswith("MapState")]
    assert kinds == [
        "MapStateEntered",
        "MapStateStarted",
        *["MapIterationStarted", "MapIterationSucceeded"] * 2,
        "MapStateSucceeded",
        "MapStateExited",
    ]
    assert [event.details["index"] for event in execution.events if event.kind == "MapIterationStarted"] == [0, 1]


async def test_the_iterations_of_a_distributed_map_are_not_in_the_history() -> None:
    processor = {**flow(T=task()), "ProcessorConfig": {"Mode": "DISTRIBUTED"}}
    execution = Run(CONTEXT)
    assert len(await run(mapped(ItemProcessor=processor), [*range(5)], Resource(None), execution)) == 5
    kinds = ["MapStateEntered", "MapStateStarted", "MapStateSucceeded", "MapStateExited"]
    assert [event.kind for event in execution.events] == kinds


def distributed(inner: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return mapped(ItemProcessor={**flow(T=inner or task()), "ProcessorConfig": {"Mode": "DISTRIBUTED"}}, **fields)


PREFIX = "arn:aws:states:us-east-1:000000000000"
PARENT = {
    "Execution": {"Id": f"{PREFIX}:execution:m:e", "Name": "e", "Input": {"x": 1}, "RedriveCount": 0},
    "StateMachine": {"Id": f"{PREFIX}:stateMachine:m", "Name": "m"},
}


@pytest.mark.parametrize(("fields", "label"), [({}, "M"), ({"Label": "mine"}, "mine")])
async def test_an_iteration_of_a_distributed_map_sees_an_execution_of_its_own(
    fields: dict[str, Any], label: str
) -> None:
    inner = task(Parameters={"execution.$": "$$.Execution", "machine.$": "$$.StateMachine", "v.$": "$$.Map.Item.Value"})
    resource = Resource(None)
    await run(distributed(inner, **fields), [5, 6], resource, Run(PARENT))
    names = [arguments["execution"]["Name"] for arguments in resource.arguments]
    assert len({"e", *names}) == 3
    for arguments, name, item in zip(resource.arguments, names, [5, 6], strict=True):
        execution = arguments["execution"]
        assert execution.pop("StartTime").endswith("Z")
        assert execution == {
            "Id": f"{PREFIX}:execution:m/{label}:{name}",
            "Input": item,
            "Name": name,
            "RedriveCount": 0,
        }
        assert arguments["machine"] == {"Id": f"{PREFIX}:stateMachine:m/{label}", "Name": f"m/{label}"}
        assert arguments["v"] == item


async def test_the_selector_and_the_state_itself_see_the_execution_of_the_map() -> None:
    resource = Resource(None)
    states = distributed(ItemSelector={"name.$": "$$.Execution.Name"}, ResultSelector={"after.$": "$$.Execution.Name"})
    assert await run(states, [5], resource, Run(PARENT)) == {"after": "e"}
    assert resource.arguments == [{"name": "e"}]


async def test_a_distributed_map_fails_by_its_threshold_which_is_none_at_first() -> None:
    error, cause = await failure(distributed(), [0, 1], failing(1))
    assert error == "States.ExceedToleratedFailureThreshold"
    assert cause == "1 of 2 items failed, the last with Mine: 1"
    assert await run(distributed(ToleratedFailureCount=1), [0, 1], failing(1)) == [0]


@pytest.mark.parametrize(("tolerated", "fails"), [(2, True), (3, False)])
async def test_the_failure_of_a_batch_is_that_of_each_of_its_items(tolerated: int, fails: bool) -> None:
    states = distributed(ItemBatcher={"MaxItemsPerBatch": 3}, ToleratedFailureCount=tolerated, MaxConcurrency=1)
    resource = Resource(StateError("Mine"), "fine")
    if fails:
        assert (await failure(states, [*range(5)], resource))[1].startswith("3 of 5 items failed")
    else:
        assert await run(states, [*range(5)], resource) == ["fine"]


async def test_an_item_reader_is_mocked() -> None:
    states = mapped(ItemReader={"Resource": "arn:aws:states:::s3:getObject"})
    machine = parse(json.dumps({"StartAt": "M", "States": states}), Reader())
    resource = Resource(None)
    await Interpreter(resource, lambda _run, state: [state, 2]).run(machine.flow, {}, Run(CONTEXT))
    assert resource.arguments == ["M", 2]


@pytest.mark.parametrize(
    ("arguments", "key"),
    [({"Bucket": "b", "Prefix.$": "$.day"}, "monday/{run}/manifest.json"), ({"Bucket": "b"}, "{run}/manifest.json")],
)
async def test_a_result_writer_leaves_the_place_of_what_it_would_write(arguments: dict[str, Any], key: str) -> None:
    writer = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": arguments}
    states = distributed(ItemsPath="$.items", ResultWriter=writer)
    output = await run(states, {"day": "monday", "items": [1]}, Resource(None), Run(PARENT))
    machine, _, name = output["MapRunArn"].rpartition(":")
    assert machine == f"{PREFIX}:mapRun:m/M"
    assert output["ResultWriterDetails"] == {"Bucket": "b", "Key": key.format(run=name)}


async def test_a_result_writer_without_a_resource_leaves_the_results() -> None:
    writer = {"WriterConfig": {"Transformation": "COMPACT", "OutputType": "JSON"}}
    assert await run(distributed(ResultWriter=writer), [1], Resource("done")) == ["done"]


def test_an_item_reader_without_a_mock_is_refused() -> None:
    with pytest.raises(DefinitionError, match=r"state 'M', field ItemReader: needs a mock of this state"):
        parse(json.dumps({"StartAt": "M", "States": mapped(ItemReader={})}), AnyResource())


@pytest.mark.parametrize("field", ["ToleratedFailureCountPath", "ToleratedFailurePercentagePath"])
@pytest.mark.parametrize("value", [-1, "1", True, 100.5])
async def test_a_threshold_of_the_wrong_kind_fails_the_execution(field: str, value: Any) -> None:
    states = mapped()
    states["M"] |= {"ItemsPath": "$.l", field: "$.v"}
    assert (await failure(states, {"l": [1], "v": value}))[0] == "States.Runtime"


class Reader(AnyResource):
    def mocked(self, state: str, resource: str = "") -> bool:
        return state == "M" and not resource

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from service.local.asl.definition import render
from tests.iac.files import ROOT
from tests.tools.preflight.example import MACHINE, configuration, task, workflow
from tests.tools.preflight.stand_in import Fault, StandIn
from tools.preflight import samples, workflows
from tools.preflight.aws import Aws
from tools.preflight.configuration import Configuration, Resource
from tools.preflight.findings import Line, Verdict

ORDER = {"customer": "Ada", "lines": [{"quantity": 2, "price": 1.5}]}


def lines(aws: Aws, definition: str, request: Any = samples.REQUEST, **machine: Any) -> dict[str, Line]:
    """Return the lines about a workflow, by subject without its name."""
    changes = {'aws_sfn_state_machine.workflow["event"]': {"definition": definition, **machine}}
    found = workflows.check(aws, configuration({**changes}), samples.Requests(request))
    return {line.subject.removeprefix("workflow event-workflow").removeprefix(", "): line for line in found}


def several(**tables: dict[str, Any]) -> Configuration:
    """Return a configuration of the demonstration and other workflows."""
    setting = {"event": {"state_machine_arn": MACHINE, "input": "envelope"}} | tables
    return configuration({"aws_ecs_task_definition.service": task({"WORKFLOWS": json.dumps(setting)})})


def changed(change: Callable[[Any], None]) -> str:
    """Return the deployed workflow with a change of its states."""
    definition = json.loads(workflow())
    change(definition["States"])
    return json.dumps(definition)


def three_steps() -> str:
    values = {
        "partition": "aws",
        "endpoint": "https://abc.appsync-api.us-east-1.amazonaws.com/event",
        "connection_arn": "arn:aws:events:us-east-1:123456789012:connection/sync-front/1",
        "wait_seconds": "1",
    }
    return render((ROOT / "examples" / "three-steps.asl.json").read_text(encoding="utf-8"), values)


@pytest.mark.parametrize(("definition", "request_"), [(workflow, samples.REQUEST), (three_steps, ORDER)])
def test_every_state_of_our_workflows_is_reached_and_right(
    aws: Aws, definition: Callable[[], str], request_: Any
) -> None:
    found = lines(aws, definition(), request_)
    assert {line.verdict for line in found.values()} == {Verdict.OK}, found
    assert found[""].detail == "the definition is valid"
    assert len(found) > 5


def test_a_success_a_refusal_and_each_catcher_of_a_task_are_tested(account: StandIn, aws: Aws) -> None:
    assert lines(aws, workflow())["state Publish"].detail == "3 tests"
    mocks = [
        call.body["mock"]
        for call in account.calls
        if call.operation == "TestState" and "'SUCCEEDED'" in call.body["definition"]
    ]
    bodies = [json.loads(mock["result"])["ResponseBody"]["failed"] for mock in mocks if "result" in mock]
    assert [len(failed) for failed in bodies] == [0, 1]
    errors = [mock["errorOutput"]["error"] for mock in mocks if "errorOutput" in mock]
    assert errors == ["States.Timeout"]


def test_a_test_neither_calls_another_service_nor_waits(account: StandIn, aws: Aws) -> None:
    lines(aws, workflow())
    bodies = [call.body for call in account.calls if call.operation == "TestState"]
    tested = [(json.loads(body["definition"]), body) for body in bodies]
    assert [body for state, body in tested if state["Type"] in {"Task", "Parallel"} and not body.get("mock")] == []
    assert {state["Seconds"] for state, _ in tested if state["Type"] == "Wait"} == {1}
    assert [body for body in bodies if "roleArn" in body] == []


@pytest.mark.parametrize(
    ("change", "state", "reason"),
    [
        (
            lambda states: states["Wait"].update(Assign={"id": "{% $states.input.name %}"}),
            "Wait",
            "QueryEvaluationError",
        ),
        (lambda states: states["BindName"].update(Output="{% $missing %}"), "BindName", "$missing"),
        (lambda states: states["Publish"].update(Output="{% $states.result.x %}"), "Publish", "QueryEvaluationError"),
        (lambda states: states["Unanswered"].update(Output="{% $missing %}"), "Unanswered", "$missing"),
    ],
)
def test_a_state_that_does_not_work_is_wrong(aws: Aws, change: Callable[[Any], None], state: str, reason: str) -> None:
    line = lines(aws, changed(change))[f"state {state}"]
    assert line.verdict is Verdict.WRONG
    assert reason in line.detail


def test_a_definition_that_is_refused_is_wrong(aws: Aws) -> None:
    line = lines(aws, changed(lambda states: states["Wait"].update(Nxt="x")))[""]
    assert line.verdict is Verdict.WRONG
    assert line.detail.startswith("SCHEMA_VALIDATION_FAILED /States: ")


def test_states_after_a_service_whose_result_is_unknown_are_unknown(aws: Aws) -> None:
    def change(states: Any) -> None:
        states["Publish"]["Resource"] = "arn:aws:states:::lambda:invoke"
        states["Publish"]["Arguments"] = {"FunctionName": "f"}

    found = lines(aws, changed(change))
    assert found["states"].verdict is Verdict.UNKNOWN
    assert found["states"].detail == "not reached with this request: Publish, Unanswered (see --request)"


def test_the_relay_is_tested_with_the_event_that_starts_it(account: StandIn, aws: Aws) -> None:
    state = {"Type": "Pass", "Output": "{% $states.input.detail.name %}", "End": True}
    relay = {"QueryLanguage": "JSONata", "StartAt": "Read", "States": {"Read": state}}
    found = lines(aws, json.dumps(relay), type="EXPRESS", arn=MACHINE, name="sync-front-relay")
    assert found["workflow sync-front-relay, state Read"].verdict is Verdict.OK
    inputs = [json.loads(call.body["input"]) for call in account.calls if call.operation == "TestState"]
    assert [event["detail"]["status"] for event in inputs[:2]] == ["SUCCEEDED", "FAILED"]


def test_a_workflow_in_event_mode_is_tested_with_the_request_itself(account: StandIn, aws: Aws) -> None:
    total = {"Type": "Pass", "Output": "{% $states.input.order %}", "End": True}
    definition = json.dumps({"QueryLanguage": "JSONata", "StartAt": "Total", "States": {"Total": total}})
    machine = {"name": "orders", "type": "STANDARD", "arn": MACHINE, "definition": definition}
    found = several(orders={"state_machine_arn": MACHINE.replace("event-workflow", "orders"), "input": "event"})
    made = Resource('aws_sfn_state_machine.workflow["orders"]', machine)
    requests = samples.Requests(by_name={"orders": {"order": 1}})
    every = {line.subject: line for line in workflows.check(aws, Configuration([*found.resources, made]), requests)}
    assert every["workflow orders, state Total"].verdict is Verdict.OK
    inputs = [json.loads(call.body["input"]) for call in account.calls if call.operation == "TestState"]
    assert inputs.count({"order": 1}) == 1
    assert "workflow event-workflow, state Publish" in every


@pytest.mark.parametrize(
    ("answer", "verdict", "detail"),
    [
        ({"type": "STANDARD"}, Verdict.OK, f"{MACHINE}:PROD exists"),
        ({"type": "EXPRESS"}, Verdict.WRONG, "only STANDARD state machines keep a record"),
        (Fault("StateMachineDoesNotExist"), Verdict.WRONG, "DescribeStateMachine failed: StateMachineDoesNotExist"),
        (Fault("AccessDeniedException", status=403), Verdict.UNKNOWN, "DescribeStateMachine is denied"),
    ],
)
def test_a_state_machine_that_terraform_does_not_make_has_to_exist(
    account: StandIn, aws: Aws, answer: Any, verdict: Verdict, detail: str
) -> None:
    def describe(asked: dict[str, Any]) -> Any:
        assert asked == {"stateMachineArn": f"{MACHINE}:PROD"}
        if isinstance(answer, Fault):
            raise answer
        return answer

    account.answers["stepfunctions:DescribeStateMachine"] = describe
    found = several(orders={"state_machine_arn": f"{MACHINE}:PROD", "input": "event"})
    (line,) = [line for line in workflows.check(aws, found, samples.Requests()) if line.subject == "workflow orders"]
    assert line.verdict is verdict
    assert detail in line.detail


@pytest.mark.parametrize(("operation", "subject"), [("ValidateStateMachineDefinition", ""), ("TestState", "states")])
def test_without_permission_a_workflow_is_unknown(account: StandIn, aws: Aws, operation: str, subject: str) -> None:
    account.deny(f"stepfunctions:{operation}")
    assert lines(aws, workflow())[subject].verdict is Verdict.UNKNOWN

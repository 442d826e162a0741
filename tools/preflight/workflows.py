"""Whether Step Functions accepts each workflow and its states: ValidateStateMachineDefinition and TestState.

One whose state machine exists already only has to be there: DescribeStateMachine.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tools.preflight import samples
from tools.preflight.findings import Line, guarded, ok, unknown, wrong
from tools.preflight.states import Walk, names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.preflight.aws import Aws
    from tools.preflight.configuration import Configuration
    from tools.preflight.samples import Json


def check(aws: Aws, configuration: Configuration, requests: samples.Requests) -> Iterator[Line]:
    """Yield a line for each workflow and the relay, and for each of the states that they are made of."""
    namespace = configuration.environment["APPSYNC_NAMESPACE"]
    machines = {machine.values["name"]: machine.values for machine in configuration.all("aws_sfn_state_machine")}
    for name, workflow in configuration.workflows.items():
        arn, request = workflow["state_machine_arn"], requests.of(name)
        machine = machines.pop(":".join(arn.split(":")[6:]), None)
        if machine is None:
            yield from guarded(f"workflow {name}", _existing(aws, f"workflow {name}", arn))
        elif workflow["input"] == "event":
            yield from _made(aws, machine, [request], {})
        else:
            yield from _made(aws, machine, [samples.envelope(request, namespace)], samples.envelope({}, namespace))
    for relay in machines.values():  # what is left: rules start it
        ends = [samples.status_change(relay["arn"], end, requests.others, namespace) for end in ("SUCCEEDED", "FAILED")]
        yield from _made(aws, relay, ends, samples.envelope({}, namespace))


def _existing(aws: Aws, subject: str, arn: str) -> Iterator[Line]:
    """Look for a state machine that exists already, or for an alias or a version of one."""
    kind = aws.client("stepfunctions").describe_state_machine(stateMachineArn=arn)["type"]
    if kind == "STANDARD":
        yield ok(subject, f"{arn} exists")
    else:
        yield wrong(subject, f"{arn} is of the type {kind}: only STANDARD state machines keep a record")


def _made(aws: Aws, machine: dict[str, Any], inputs: list[Json], other: Json) -> Iterator[Line]:
    """Check the definition of a state machine that Terraform makes."""
    subject = f"workflow {machine['name']}"
    yield from guarded(subject, _validate(aws, subject, machine))
    yield from guarded(f"{subject}, states", _states(aws, subject, machine, inputs, other))


def _validate(aws: Aws, subject: str, machine: dict[str, Any]) -> Iterator[Line]:
    answer = aws.client("stepfunctions").validate_state_machine_definition(
        definition=machine["definition"], type=machine["type"], severity="WARNING"
    )
    found = "; ".join(f"{item['code']} {item.get('location', '')}: {item['message']}" for item in answer["diagnostics"])
    if answer["result"] != "OK":
        yield wrong(subject, found)
    else:
        yield ok(subject, f"the definition is valid ({found})" if found else "the definition is valid")


def _states(aws: Aws, subject: str, machine: dict[str, Any], inputs: list[Json], other: Json) -> Iterator[Line]:
    definition = json.loads(machine["definition"])
    walk = Walk(aws.test_state, definition.get("QueryLanguage", "JSONPath"))
    for data in inputs:
        walk.every_outcome(definition, data)
    # An input that does not fit takes the other branches.
    walk.usual_outcomes(definition, other)
    yield from _lines(walk, subject, list(names(definition)))


def _lines(walk: Walk, subject: str, states: list[str]) -> Iterator[Line]:
    for name in states:
        if name in walk.failures:
            yield wrong(f"{subject}, state {name}", walk.failures[name])
        elif name in walk.tests:
            yield ok(f"{subject}, state {name}", f"{walk.tests[name]} tests" if walk.tests[name] > 1 else "1 test")
    if missed := [name for name in states if name not in walk.tests and name not in walk.failures]:
        yield unknown(f"{subject}, states", f"not reached with this request: {', '.join(missed)} (see --request)")

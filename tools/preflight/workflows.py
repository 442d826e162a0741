"""Whether Step Functions accepts each workflow and its states: ValidateStateMachineDefinition and TestState."""

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


def check(aws: Aws, configuration: Configuration, request: Json) -> Iterator[Line]:
    """Yield a line for each workflow and for each of its states."""
    namespace = configuration.environment["APPSYNC_NAMESPACE"]
    for machine in configuration.all("aws_sfn_state_machine"):
        subject = f"workflow {machine.values['name']}"
        yield from guarded(subject, _validate(aws, subject, machine.values))
        yield from guarded(f"{subject}, states", _states(aws, subject, machine.values, request, namespace))


def _validate(aws: Aws, subject: str, machine: dict[str, Any]) -> Iterator[Line]:
    answer = aws.client("stepfunctions").validate_state_machine_definition(
        definition=machine["definition"], type=machine["type"], severity="WARNING"
    )
    found = "; ".join(f"{item['code']} {item.get('location', '')}: {item['message']}" for item in answer["diagnostics"])
    if answer["result"] != "OK":
        yield wrong(subject, found)
    else:
        yield ok(subject, f"the definition is valid ({found})" if found else "the definition is valid")


def _states(aws: Aws, subject: str, machine: dict[str, Any], request: Json, namespace: str) -> Iterator[Line]:
    definition = json.loads(machine["definition"])
    walk = Walk(aws.test_state, definition.get("QueryLanguage", "JSONPath"))
    if machine["type"] == "EXPRESS":  # these are started by the rules
        inputs = [
            samples.status_change(machine["arn"], status, request, namespace) for status in ("SUCCEEDED", "FAILED")
        ]
    else:
        inputs = [samples.envelope(request, namespace)]
    for data in inputs:
        walk.every_outcome(definition, data)
    # A request that does not fit takes the other branches.
    walk.usual_outcomes(definition, samples.envelope({}, namespace))
    yield from _lines(walk, subject, list(names(definition)))


def _lines(walk: Walk, subject: str, states: list[str]) -> Iterator[Line]:
    for name in states:
        if name in walk.failures:
            yield wrong(f"{subject}, state {name}", walk.failures[name])
        elif name in walk.tests:
            yield ok(f"{subject}, state {name}", f"{walk.tests[name]} tests" if walk.tests[name] > 1 else "1 test")
    if missed := [name for name in states if name not in walk.tests and name not in walk.failures]:
        yield unknown(f"{subject}, states", f"not reached with this request: {', '.join(missed)} (see --request)")

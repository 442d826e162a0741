from __future__ import annotations

import json
from typing import Any

from tests.local.conftest import Aws

DONE = {"Type": "Succeed"}


async def validate(aws: Aws, definition: Any, **arguments: Any) -> dict[str, Any]:
    text = definition if isinstance(definition, str) else json.dumps(definition)
    return await aws.call("validate_state_machine_definition", definition=text, **arguments)


async def test_a_valid_definition_has_no_diagnostics(aws: Aws) -> None:
    response = await validate(aws, {"StartAt": "A", "States": {"A": DONE}}, type="EXPRESS")
    assert (response["result"], response["diagnostics"]) == ("OK", [])


async def test_every_fault_has_its_place(aws: Aws) -> None:
    choice = {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": 1, "Next": "A"}]}
    states = {"A": {"Type": "Pass", "Parameters": {"b": {"c.$": "x"}}, "End": True}, "B": choice, "C": {"Type": "X"}}
    response = await validate(aws, {"StartAt": "A", "States": states})
    assert response["result"] == "FAIL"
    places = [(one["severity"], one.get("location")) for one in response["diagnostics"]]
    assert places == [
        ("ERROR", "/States/A/Parameters/b/c"),
        ("ERROR", "/States/B/Choices/0/IsNull"),
        ("ERROR", "/States/C/Type"),
    ]
    assert response["diagnostics"][2]["message"] == "state 'C', field Type: 'X' does not exist"


async def test_text_that_is_not_json_is_a_fault_and_the_number_of_faults_can_be_limited(aws: Aws) -> None:
    assert "not JSON" in (await validate(aws, "{"))["diagnostics"][0]["message"]
    response = await validate(
        aws, {"StartAt": "A", "States": {"A": {"Type": "X", "End": 1, "Y": 2}, "B": 1}}, maxResults=1
    )
    assert (len(response["diagnostics"]), response["truncated"]) == (1, True)


async def test_the_state_machine_of_an_execution_is_described(aws: Aws) -> None:
    arn = await aws.start("a")
    described = await aws.call("describe_state_machine_for_execution", executionArn=arn)
    machine = await aws.call("describe_state_machine", stateMachineArn=aws.local.state_machine_arn)
    assert described["definition"] == machine["definition"]
    assert described["updateDate"] == machine["creationDate"]

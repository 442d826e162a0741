from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from service.app.settings import SettingsError, load
from service.app.workflows import WorkflowSettings, parse_workflows

MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:"
ORDERS = f"""
[event]
state_machine_arn = "{MACHINE}event-workflow"

[orders]
path = "/v1/orders"
state_machine_arn = "{MACHINE}orders:PROD"
input = "event"
request_schema = "order.schema.json"
response_timeout = 120
max_in_flight = 2000
on_client_gone = "stop"
definition = "orders.asl.json"
[orders.errors]
OutOfStock = 409
"Validation*" = 422
"""


def parsed(text: object) -> tuple[WorkflowSettings, ...]:
    result: Any = parse_workflows(text)
    return tuple(result)


def faults(text: str) -> list[str]:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is the result
        parse_workflows(text)
    return str(caught.value).splitlines()


def faults_of(**table: Any) -> list[str]:
    return faults(json.dumps({"orders": {"state_machine_arn": f"{MACHINE}orders"} | table}))


def test_a_file_has_one_table_for_each_workflow(tmp_path: Path) -> None:
    (tmp_path / "order.schema.json").write_text('{"type": "object", "required": ["item"]}')
    file = tmp_path / "workflows.toml"
    file.write_text(ORDERS)
    event, orders = parsed(str(file))
    assert (event.name, event.route, event.input, event.errors) == ("event", "/event", "envelope", {})
    assert (orders.route, orders.input, orders.max_in_flight) == ("/v1/orders", "event", 2000)
    assert orders.state_machine_arn.text == f"{MACHINE}orders:PROD"
    assert orders.errors == {"OutOfStock": 409, "Validation*": 422}
    assert orders.definition == tmp_path / "orders.asl.json"
    assert not orders.schema_of_requests.accepts({})


def test_json_text_has_the_same_form_with_schemas_inside() -> None:
    table = {"state_machine_arn": f"{MACHINE}a", "request_schema": {"type": "array"}}
    (only,) = parsed(json.dumps({"a": table}))
    assert only.schema_of_requests.accepts([])
    assert not only.schema_of_requests.accepts({})


def test_without_a_schema_an_envelope_takes_objects_and_an_event_is_any_value() -> None:
    values: list[Any] = [{}, [], 7]
    tables = {mode: {"state_machine_arn": f"{MACHINE}a", "input": mode} for mode in ("envelope", "event")}
    envelope, event = parsed(json.dumps(tables))
    assert [envelope.schema_of_requests.accepts(value) for value in values] == [True, False, False]
    assert [event.schema_of_requests.accepts(value) for value in values] == [True, True, True]


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"state_machine_arn": "x"}, "state_machine_arn: must look like arn:aws:states:"),
        ({"state_machine_arn": 7}, "state_machine_arn: must look like arn:aws:states:"),
        ({"path": "orders"}, "path: must look like /v1/orders"),
        ({"path": "/docs/orders"}, "path: is a path of the service itself"),
        ({"path": "/healthz"}, "path: is a path of the service itself"),
        ({"input": "raw"}, "input: must be 'envelope' or 'event'"),
        ({"request_schema": "order.json"}, "request_schema: must be a schema, or the path of one if this is a file"),
        ({"request_schema": {"type": "thing"}}, "request_schema: is not a JSON Schema"),
        ({"result_schema": {"pattern": "a(?!b)"}}, "result_schema: is not a JSON Schema"),
        ({"check_results": True}, "check_results: needs a result_schema"),
        ({"check_results": "perhaps", "result_schema": True}, "check_results: must be true or false"),
        ({"response_timeout": 0}, "response_timeout: must be greater than 0"),
        ({"response_timeout": 901}, "response_timeout: must be at most 900"),
        ({"stream_timeout": 891}, "stream_timeout: must be at most 890"),
        ({"max_in_flight": 0}, "max_in_flight: must be at least 1"),
        ({"on_client_gone": "run"}, "on_client_gone: must be 'keep' or 'stop'"),
        ({"errors": {"X": 200}}, "errors.X: must be at least 400"),
        ({"errors": {"a*b": 400}}, "errors: must have names of errors, with a * only at their ends"),
        ({"statemachine": 1}, "statemachine: is not known"),
    ],
)
def test_what_is_wrong_is_named_by_workflow_and_key(table: dict[str, Any], fault: str) -> None:
    (found,) = faults_of(**table)
    assert found.startswith(f"[orders] {fault}")


@pytest.mark.parametrize("name", ["docs", "metrics", "healthz", "readyz"])
def test_a_name_that_is_a_path_of_the_service_needs_another_path(name: str) -> None:
    table = {"state_machine_arn": f"{MACHINE}a"}
    (found,) = faults(json.dumps({name: table}))
    assert found == f"[{name}] path: must be set, because /{name} is a path of the service itself"
    (workflow,) = parsed(json.dumps({name: table | {"path": "/other"}}))
    assert workflow.route == "/other"


def test_everything_that_is_wrong_is_listed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {
        "Orders": {"state_machine_arn": f"{MACHINE}a"},
        "a": {"state_machine_arn": f"{MACHINE}a", "path": "/same"},
        "b": {"state_machine_arn": f"{MACHINE}b".replace("us-east-1", "us-west-2"), "path": "/same"},
        "c": {"state_machine_arn": f"{MACHINE}c", "path": "/same/c"},
        "d": 7,
    }
    monkeypatch.setenv("WORKFLOWS", json.dumps(tables))
    monkeypatch.setenv("PORT", "x")
    with pytest.raises(SettingsError) as caught:
        load()
    lines = str(caught.value).splitlines()
    for line in (
        "  PORT: must be a whole number",
        "  WORKFLOWS: 2 workflows have the path /same",
        "  WORKFLOWS: [Orders] name: must match ^[a-z][a-z0-9-]{0,30}$",
        "  WORKFLOWS: [b] state_machine_arn: must be of the account and region of [a]",
        "  WORKFLOWS: [c] path: is below the path of another workflow",
        "  WORKFLOWS: [d] must be a table",
    ):
        assert line in lines


@pytest.mark.parametrize(
    ("text", "fault"),
    [("{", "is not JSON: "), ("{}", "has no workflow"), ("none.toml", "none.toml cannot be read: No such file")],
)
def test_what_cannot_be_read_is_refused(text: str, fault: str) -> None:
    (found,) = faults(text)
    assert found.startswith(fault)


def test_a_file_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "workflows.toml"
    file.write_text("[orders")
    (found,) = faults(str(file))
    assert found.startswith(f"{file} is not TOML: ")

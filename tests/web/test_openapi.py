"""The OpenAPI description, checked against the code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from service import __version__
from service.app.settings import DEMO_SCHEMA
from service.errors import Problem
from service.web import openapi
from service.web.schema import JsonSchema
from tests.support.front import front
from tests.support.workflow import a_workflow
from tests.test_docs import leaves


def described(schema: JsonSchema | None = None) -> dict[str, Any]:
    """Return the description as parsed from its JSON."""
    document: dict[str, Any] = json.loads(json.dumps(openapi.document([a_workflow(schema)], prefix="")))
    return document


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Return path, method and description of each operation."""
    return [
        (path, method, operation)
        for path, methods in described()["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    ]


@pytest.mark.parametrize("schema", [DEMO_SCHEMA, ""], ids=["the demo's", "any object"])
def test_the_description_is_valid(schema: str | Path) -> None:
    OpenAPIV31SpecValidator(described(JsonSchema.load(schema))).validate()


def test_only_responses_about_encodings_say_which_are_supported() -> None:
    with_header = {
        (path, method, status)
        for path, method, operation in operations()
        for status, response in operation["responses"].items()
        if "Accept-Encoding" in response.get("headers", {})
    }
    assert with_header == {("/event", "post", "415")}


def test_the_probes_say_what_their_status_is() -> None:
    ready = described()["paths"]["/readyz"]["get"]["responses"]
    assert (ready["200"]["description"], ready["503"]["description"]) == (
        "For example `ready`",
        "For example `link down`",
    )
    metrics = described()["paths"]["/metrics"]["get"]
    assert metrics["responses"]["200"]["description"] == metrics["summary"]


async def test_the_service_serves_it() -> None:
    async with front(response_timeout=25, stream_timeout=600) as it, it.client.get("/openapi.json") as response:
        assert (response.status, response.content_type) == (200, "application/json")
        assert await response.json() == described()


async def test_the_server_url_has_the_stage_prefix() -> None:
    async with front(stage_prefix="dev") as it, it.client.get("/dev/openapi.json") as response:
        assert (await response.json())["servers"] == [{"url": "/dev"}]


async def test_it_describes_every_route_and_no_other() -> None:
    async with front() as it:
        routes = {(route.resource.canonical, route.method) for route in it.app.router.routes() if route.resource}
    written = {(path, method.upper()) for path, method, _ in operations()}
    of_the_page = {("/", "GET"), ("/docs/swagger-ui.css", "GET"), ("/docs/swagger-ui-bundle.js", "GET")}
    assert written | of_the_page == {route for route in routes if route[1] != "HEAD"} | {("/event/{id}", "HEAD")}


def test_every_problem_is_described_under_its_status() -> None:
    found: dict[str, int] = {}
    for _, _, operation in operations():
        for status, response in operation["responses"].items():
            for media in response.get("content", {}).values():
                for slug, sample in media.get("examples", {}).items():
                    assert sample["value"]["status"] == int(status)
                    found[slug] = int(status)
    assert found == {kind.slug: kind.status for kind in leaves(Problem)} | {"unexpected": 500}


def test_the_event_has_the_configured_schema(tmp_path: Path) -> None:
    own = tmp_path / "schema.json"
    own.write_text(
        json.dumps(
            {
                "$id": "https://example.org/order",
                "type": "object",
                "required": ["lines", "kind"],
                "properties": {
                    "kind": {"enum": ["a", "b"]},
                    "lines": {"type": "array", "items": {"$ref": "#/$defs/x"}},
                },
                "$defs": {"x": {"type": "integer"}},
            }
        )
    )
    document = described(JsonSchema.load(own))
    event = document["components"]["schemas"]["EventRequest"]
    assert "$id" not in event
    assert event["properties"]["lines"]["items"]["$ref"] == "#/components/schemas/EventRequest/$defs/x"
    assert document["paths"]["/event"]["post"]["requestBody"]["content"]["application/json"]["example"] == {
        "kind": "a",
        "lines": [],
    }
    OpenAPIV31SpecValidator(document).validate()


def test_only_references_within_the_configured_schema_change(tmp_path: Path) -> None:
    own = tmp_path / "schema.json"
    kept = {"$ref": {"type": "string"}, "id": {"type": "string", "description": "# of the order"}}
    own.write_text(json.dumps({"type": "object", "properties": kept | {"again": {"$ref": "#"}}}))
    event = described(JsonSchema.load(own))["components"]["schemas"]["EventRequest"]
    assert event["properties"] == kept | {"again": {"$ref": "#/components/schemas/EventRequest"}}


def test_an_invalid_example_is_omitted(tmp_path: Path) -> None:
    own = tmp_path / "schema.json"
    own.write_text(
        '{"type": "object", "required": ["a"], "properties": {"a": {"type": "string", "pattern": "^[0-9]$"}}}'
    )
    body = described(JsonSchema.load(own))["paths"]["/event"]["post"]["requestBody"]
    assert "example" not in body["content"]["application/json"]


def test_its_version_is_the_projects() -> None:
    assert described()["info"]["version"] == __version__


def test_every_operation_has_what_linters_ask_for() -> None:
    document = described()
    assert document["security"] == []
    tags = {tag["name"] for tag in document["tags"]}
    for _, _, operation in operations():
        assert operation["summary"]
        assert operation["description"]
        assert operation["operationId"]
        assert set(operation["tags"]) <= tags


@pytest.mark.parametrize(
    "draft", ["http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-07/schema#"]
)
def test_no_part_of_the_description_has_a_dialect_of_its_own(draft: str) -> None:
    own = JsonSchema({"$schema": draft, "properties": {"a": {"type": "string"}, "$schema": {"type": "string"}}})
    event = described(own)["components"]["schemas"]["EventRequest"]
    assert "$schema" not in event
    assert event["properties"]["$schema"] == {"type": "string"}


@pytest.mark.parametrize("name", ["Id", "EventRequest", "Result", "Running", "Status", "Problem"])
def test_every_example_of_a_schema_is_valid_and_has_no_member_that_it_does_not_describe(name: str) -> None:
    document = described()
    schema = {"components": document["components"], "$ref": f"#/components/schemas/{name}"}
    validator = jsonschema_rs.Draft202012Validator(schema | {"unevaluatedProperties": False})
    for sample in document["components"]["schemas"][name].get("examples", ()):
        validator.validate(sample)

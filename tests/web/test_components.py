"""The parts of the OpenAPI description that no validator checks: words of schemas, references by name, texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from service.web.components import components
from tests.support.ids import ID
from tests.support.workflow import a_workflow
from tests.web.test_openapi import described, operations

KEYWORDS = {
    *("$schema", "$ref", "type", "enum", "const", "format", "pattern", "title", "description", "default", "examples"),
    *("required", "properties", "additionalProperties", "items", "minLength", "maxLength", "minimum", "maximum"),
}
"""The keywords of JSON Schema that the description uses; any other word would be ignored."""

TYPES = {"object", "array", "string", "integer", "number", "boolean"}


def walk(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each object of the description with its path."""
    if isinstance(node, dict):
        yield path, node
        for name, value in node.items():
            yield from walk(value, f"{path}/{name.replace('/', '~')}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from walk(value, f"{path}/{number}")


def schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each schema with its path."""
    beginning = re.compile(r"/components/schemas/\w+|.*/schema")
    for path, node in walk(described()):
        if (found := beginning.match(path)) and re.fullmatch(r"(/properties/[^/]+|/items)*", path[found.end() :]):
            yield path, node


def test_every_word_of_a_schema_is_a_keyword() -> None:
    assert len(list(schemas())) > 40
    for path, schema in schemas():
        assert schema.keys() <= KEYWORDS, path
        assert schema.get("type", "object") in TYPES, path
        assert schema.keys() & {"type", "const", "$ref"}, path  # says something


def test_every_required_member_is_described() -> None:
    for path, schema in schemas():
        assert set(schema.get("required", ())) <= schema.get("properties", {}).keys(), path


def test_everything_that_people_read_has_a_text() -> None:
    components = described()["components"]
    described_parts = [*components["parameters"].values(), *components["headers"].values(), *described()["tags"]]
    described_parts += [response for *_, operation in operations() for response in operation["responses"].values()]
    assert all(part.get("description") for part in described_parts)
    assert all(operation.get("summary") for *_, operation in operations())


def test_the_tags_that_are_used_are_declared() -> None:
    used = {tag for *_, operation in operations() for tag in operation["tags"]}
    assert used == {tag["name"] for tag in described()["tags"]}


def test_every_component_is_referred_to() -> None:
    references = {node["$ref"] for _, node in walk(described()) if "$ref" in node}
    parts = described()["components"]
    assert references == {f"#/components/{kind}/{name}" for kind, named in parts.items() for name in named}


def test_every_link_leads_to_an_operation_with_its_parameters() -> None:
    document = described()
    parameters = document["components"]["parameters"]
    paths = {operation["operationId"]: path for path, _, operation in operations()}
    links = [
        link for _, node in walk(document) if isinstance(node.get("links"), dict) for link in node["links"].items()
    ]
    assert {(name, link["operationId"]) for name, link in links} == {
        ("result", "readEvent"),
        ("retry", "retryEvent"),
        ("stop", "stopEvent"),
    }
    for _, link in links:
        shared = document["paths"][paths[link["operationId"]]]["parameters"]
        known = {parameters[one["$ref"].rpartition("/")[2]]["name"] for one in shared}
        assert link["parameters"].keys() == known
        assert set(link["parameters"].values()) == {"$response.body#/id"}


def test_the_headers_have_the_names_that_are_read_and_sent() -> None:
    components = described()["components"]
    read = {"Idempotency-Key", "Last-Event-ID", "Prefer", "X-Request-Id", "traceparent"}
    sent = {"Location", "Preference-Applied", "Retry-After", "Server-Timing", "X-Request-Id", "Accept-Encoding", "ETag"}
    assert {one["name"] for one in components["parameters"].values() if one["in"] == "header"} == read
    assert set(components["headers"]) == sent


@pytest.mark.parametrize(
    ("method", "path", "names"),
    [
        ("post", "/event", {"Prefer", "Idempotency-Key", "X-Request-Id", "traceparent"}),
        ("get", "/event/{id}", {"Prefer", "X-Request-Id", "Last-Event-ID"}),
        ("head", "/event/{id}", {"Prefer", "X-Request-Id"}),
        ("post", "/event/{id}/retry", {"Prefer", "X-Request-Id", "Last-Event-ID"}),
    ],
)
def test_each_operation_has_its_parameters(method: str, path: str, names: set[str]) -> None:
    document = described()
    used = document["paths"][path][method]["parameters"]
    parameters = document["components"]["parameters"]
    assert {parameters[one["$ref"].rpartition("/")[2]]["name"] for one in used} == names


def test_the_operations_have_the_names_that_generated_clients_use() -> None:
    assert {operation["operationId"] for *_, operation in operations()} == {
        *("createEvent", "readEvent", "headEvent", "stopEvent", "retryEvent"),
        *("health", "readiness", "metrics", "description", "documentation"),
    }


@pytest.mark.parametrize(
    ("name", "read_foreign", "fits"), [(ID, False, True), ("x_1", False, False), ("x_1", True, True)]
)
def test_an_id_is_described_as_what_can_be_read(name: str, read_foreign: bool, fits: bool) -> None:
    pattern = components([a_workflow()], read_foreign=read_foreign)["schemas"]["Id"]["pattern"]
    assert bool(re.search(pattern, name)) == fits

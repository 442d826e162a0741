"""OpenAPI 3.1 description of the HTTP interface, built from the problems of each route and the event schema."""

from __future__ import annotations

from http import HTTPStatus
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from service import __version__, errors
from service.web.components import EXECUTION_ID, components, ref
from service.web.example import example
from service.web.negotiation import JSON, STREAM
from service.web.problems import TYPE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from service.errors import Problem
    from service.web.schema import RequestSchema

PROBLEM: Final = "application/problem+json"

_FAILED_CALLS: Final = (errors.Throttled, errors.Unreachable, errors.Refused, errors.OutcomeUnknown, errors.AtCapacity)
_FAILED_WORKFLOWS: Final = (errors.WorkflowFailed, errors.WorkflowAborted, errors.WorkflowTimedOut)

CREATE: Final = (
    errors.MalformedJson,
    errors.InvalidIdempotencyKey,
    errors.IdempotencyUnavailable,
    errors.NotAcceptable,
    errors.BodyTooSlow,
    errors.IdempotencyConflict,
    errors.BodyTooLarge,
    errors.NotJson,
    errors.UnsupportedEncoding,
    errors.SchemaViolation,
    errors.IdempotencyKeyReused,
    *_FAILED_WORKFLOWS,
    *_FAILED_CALLS,
    errors.Draining,
    errors.LinkDown,
)
READ: Final = (errors.UnknownExecution, errors.NotAcceptable, *_FAILED_WORKFLOWS, *_FAILED_CALLS)
REMOVE: Final = (errors.UnknownExecution, *_FAILED_CALLS)

OUTCOMES: Final = {
    "start": ("succeeded", "running", *(problem.slug for problem in CREATE), "unexpected", "client-disconnected"),
    "read": ("succeeded", "running", *(problem.slug for problem in READ), "unexpected", "client-disconnected"),
    "stop": ("stopped", *(problem.slug for problem in REMOVE), "unexpected", "client-disconnected"),
}
"""The outcomes of each operation, by which the requests are counted."""

_REQUEST_ID: Final = {"X-Request-Id": ref("headers", "X-Request-Id")}
_OF_A_RESULT: Final = {name: ref("headers", name) for name in ("Preference-Applied", "Server-Timing")}


def document(
    schema: RequestSchema, *, prefix: str, response_timeout: float, read_foreign: bool = False
) -> dict[str, Any]:
    """Describe the service with this configuration."""
    follow = {
        name: {"operationId": operation, "parameters": {"id": "$response.body#/id"}}
        for name, operation in (("result", "readEvent"), ("stop", "stopEvent"))
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "sync-front",
            "version": __version__,
            "summary": "A synchronous HTTP interface to an asynchronous workflow.",
            "description": "One request starts an execution of an AWS Step Functions workflow and is answered with its "
            "result. A result that comes too late for the request has a URL.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": prefix or "/"}],
        "security": [],  # the service itself has no notion of callers; whatever is in front of it may
        "paths": {
            "/event": {"post": _create(schema, response_timeout, follow)},
            "/event/{id}": {
                "parameters": [ref("parameters", "Id")],
                "get": _read(),
                "head": _head(),
                "delete": _stop(),
            },
            "/healthz": {
                "get": _plain(
                    "health",
                    "Check whether the process is alive",
                    "A failure means that it must be restarted.",
                    "application/json",
                    {200: "alive"},
                )
            },
            "/readyz": {
                "get": _plain(
                    "readiness",
                    "Check whether the instance is ready for traffic",
                    "A failure means that a load balancer should send its requests elsewhere.",
                    "application/json",
                    {200: "ready", 503: "link down"},
                )
            },
            "/metrics": {
                "get": _plain(
                    "metrics",
                    "Get metrics in the Prometheus text format",
                    "Requests, connections, replies, recovery and the event loop of this instance. A Prometheus that "
                    "reads native histograms gets protobuf instead.",
                    "text/plain",
                    {200: None},
                )
            },
            "/openapi.json": {
                "get": _cached(
                    "description",
                    "Get this description",
                    "OpenAPI 3.1, with the schema of the events that this deployment accepts.",
                    "application/json",
                    {200: None},
                )
            },
            "/docs": {
                "get": _cached(
                    "documentation",
                    "Show this description as a web page",
                    "The page can also send requests.",
                    "text/html",
                    {200: None},
                )
            },
        },
        "tags": [
            {"name": "events", "description": "Start workflows and get their results."},
            {"name": "service", "description": "Health, metrics and this description."},
        ],
        "components": components(schema, response_timeout, read_foreign=read_foreign),
    }


def _create(schema: RequestSchema, response_timeout: float, links: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {"schema": ref("schemas", "Event")}
    sample = example(schema.document)
    if schema.accepts(sample):
        body["example"] = sample
    results = _results()
    for response in results.values():
        response["links"] = links
    operation = _operation("createEvent", "Start a workflow and wait for its result", results, CREATE)
    operation["description"] = (
        f"Waits up to {response_timeout:g} seconds for the result. If `Accept` prefers `{STREAM}`, the response is an "
        "event stream: `running`, any number of `progress`, and finally `result`, `problem`, or `running` if the wait "
        "ends first."
    )
    operation["parameters"] = [
        ref("parameters", name) for name in ("Prefer", "IdempotencyKey", "RequestId", "LastEventId", "Traceparent")
    ]
    operation["requestBody"] = {"required": True, "content": {JSON: body}}
    return operation


def _read() -> dict[str, Any]:
    complete = f"The stream is complete: `Last-Event-ID: end` with `{STREAM}`."
    results = _results() | {204: {"description": complete, "headers": _REQUEST_ID}}
    operation = _operation("readEvent", "Get the result of an execution, or wait for it", results, READ)
    operation["description"] = (
        "Responds with what is known now, from Step Functions' own record, or waits with `Prefer: wait=N`. If `Accept` "
        f"prefers `{STREAM}`, the response is an event stream."
    )
    operation["parameters"] = [ref("parameters", name) for name in ("Prefer", "RequestId", "LastEventId")]
    return operation


def _head() -> dict[str, Any]:
    operation = _operation("headEvent", "Get the status and headers of a JSON response to `GET`", _results(), READ)
    operation["description"] = "Responds like `GET`, without the body; never as a stream."
    for response in operation["responses"].values():
        response.pop("content", None)
    operation["parameters"] = [ref("parameters", name) for name in ("Prefer", "RequestId")]
    return operation


def _stop() -> dict[str, Any]:
    stopped = {204: {"description": "The execution is stopped or had already ended.", "headers": _REQUEST_ID}}
    operation = _operation("stopEvent", "Stop an execution", stopped, REMOVE)
    operation["description"] = "Requests that wait for it are answered: the workflow was aborted."
    return operation


def _results() -> dict[int, dict[str, Any]]:
    headers = _REQUEST_ID | _OF_A_RESULT
    events = f'Server-Sent Events, for example `event: result`, `id: end`, `data: {{"id":"{EXECUTION_ID}"}}`.'
    stream = {"schema": {"type": "string", "description": events}}
    return {
        200: {
            "description": "The execution succeeded, or the response is an event stream.",
            "headers": headers,
            "content": {JSON: {"schema": ref("schemas", "Result")}, STREAM: stream},
        },
        202: {
            "description": "The execution is still running; its result will be at `Location`.",
            "headers": headers | {name: ref("headers", name) for name in ("Location", "Retry-After")},
            "content": {JSON: {"schema": ref("schemas", "Running")}},
        },
    }


def _operation(
    name: str, summary: str, responses: dict[int, dict[str, Any]], problems: Iterable[type[Problem]]
) -> dict[str, Any]:
    described = dict(responses)
    for status, kinds in groupby(sorted(problems, key=lambda kind: kind.status), key=lambda kind: kind.status):
        described[status] = _problem(list(kinds))
    described[500] = _untyped("Internal error.", TYPE_PREFIX + "unexpected", "Internal error", 500)
    return {"operationId": name, "tags": ["events"], "summary": summary, "responses": _by_status(described)}


def _plain(name: str, summary: str, description: str, kind: str, responses: dict[int, str | None]) -> dict[str, Any]:
    described: dict[int, dict[str, Any]] = {}
    for status, text in responses.items():
        content: dict[str, Any] = {"schema": {"type": "string"} if not kind.endswith("json") else {"type": "object"}}
        if text is not None:
            content = {"schema": ref("schemas", "Status"), "example": {"status": text}}
        described[status] = {
            "description": summary if text is None else f"For example `{text}`",
            "headers": _REQUEST_ID,
            "content": {kind: content},
        }
    return {
        "operationId": name,
        "tags": ["service"],
        "summary": summary,
        "description": description,
        "responses": _by_status(described),
    }


def _cached(*plain: Any) -> dict[str, Any]:
    operation = _plain(*plain)
    headers = _REQUEST_ID | {"ETag": ref("headers", "ETag")}
    operation["responses"]["200"]["headers"] = headers
    unchanged = {"description": "Unchanged: `If-None-Match` names the current `ETag`.", "headers": headers}
    operation["responses"] = dict(sorted((operation["responses"] | {"304": unchanged}).items()))
    return operation


def _by_status(responses: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Sort the responses by status, and add those to requests that never reach a route."""
    before_routing = {
        400: _blank("Malformed HTTP request.", 400),
        417: _blank("`Expect` is not `100-continue`.", 417),
        431: _blank("A line of the request head is too long.", 431),
    }
    return {str(status): response for status, response in sorted((before_routing | responses).items())}


def _problem(kinds: list[type[Problem]]) -> dict[str, Any]:
    headers = dict(_REQUEST_ID)
    if any(issubclass(kind, errors.WorkflowProblem) for kind in kinds):
        headers |= _OF_A_RESULT
    if any(issubclass(kind, errors.Unavailable) for kind in kinds):
        headers["Retry-After"] = ref("headers", "Retry-After")
    if errors.UnsupportedEncoding in kinds:
        headers["Accept-Encoding"] = ref("headers", "Accept-Encoding")
    examples = {kind.slug: {"summary": kind.title, "value": _example_of(kind)} for kind in kinds}
    return {
        "description": "\n".join(f"- `{kind.slug}`: {(kind.__doc__ or kind.title).splitlines()[0]}" for kind in kinds),
        "headers": headers,
        "content": {PROBLEM: {"schema": ref("schemas", "Problem"), "examples": examples}},
    }


def _blank(description: str, status: int) -> dict[str, Any]:
    return _untyped(description, "about:blank", HTTPStatus(status).phrase, status)


def _untyped(description: str, kind: str, title: str, status: int) -> dict[str, Any]:
    value = {"type": kind, "title": title, "status": status, "request_id": "..."}
    return {
        "description": description,
        "headers": _REQUEST_ID,
        "content": {PROBLEM: {"schema": ref("schemas", "Problem"), "example": value}},
    }


def _example_of(kind: type[Problem]) -> dict[str, Any]:
    members: dict[str, Any] = {"type": TYPE_PREFIX + kind.slug, "title": kind.title, "status": kind.status}
    members |= {"detail": kind.title + ".", "instance": "/event", "request_id": "0b1f6a2e-6f0c-4f0a-9d6e-0a4f1d5a4c1b"}
    if issubclass(kind, errors.WorkflowProblem):
        members["id"] = EXECUTION_ID
    if issubclass(kind, errors.WorkflowFailed):
        members["error"] = "OutOfStock"
    if issubclass(kind, errors.SchemaViolation):
        members["errors"] = [{"pointer": "/name", "detail": "the value is shorter than 1 character"}]
    return members

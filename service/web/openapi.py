"""OpenAPI 3.1 description of the HTTP interface, built from the problems of each route and the event schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service import __version__
from service.web import operations, problem_responses
from service.web.components import EXECUTION_ID, components, ref, request_schema_name, result_schema_name
from service.web.example import example
from service.web.negotiation import JSON, STREAM
from service.web.problem_responses import OF_A_RESULT, REQUEST_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from service.errors import Problem
    from service.web.workflow import Workflow


def document(workflows: Sequence[Workflow], *, prefix: str, read_foreign: bool = False) -> dict[str, Any]:
    """Describe the service with these workflows."""
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
        "security": [],  # whatever is in front of the service lets callers in, and says who they are
        "paths": {
            **{path: item for workflow in workflows for path, item in _paths(workflow).items()},
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
                    "OpenAPI 3.1, with the schemas of the events that this deployment accepts.",
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
        "components": components(workflows, read_foreign=read_foreign),
    }


def _paths(workflow: Workflow) -> dict[str, dict[str, Any]]:
    """Describe the paths of one workflow; the names of operations and schemas contain its own."""
    return {
        workflow.path: {"post": _create(workflow)},
        f"{workflow.path}/{{id}}": {
            "parameters": [ref("parameters", "Id")],
            "get": _read(workflow),
            "head": _head(workflow),
            "delete": _stop(workflow),
        },
        f"{workflow.path}/{{id}}/retry": {"parameters": [ref("parameters", "Id")], "post": _retry(workflow)},
    }


def _create(workflow: Workflow) -> dict[str, Any]:
    links = {
        name: {"operationId": f"{verb}{workflow.title}", "parameters": {"id": "$response.body#/id"}}
        for name, verb in (("result", "read"), ("retry", "retry"), ("stop", "stop"))
    }
    body: dict[str, Any] = {"schema": ref("schemas", request_schema_name(workflow))}
    sample = example(workflow.schema.document)
    if workflow.schema.accepts(sample):
        body["example"] = sample
    results = _results(workflow)
    for response in results.values():
        response["links"] = links
    operation = _operation(
        f"create{workflow.title}", "Start a workflow and wait for its result", results, operations.CREATE, workflow
    )
    operation["description"] = (
        f"Waits up to {workflow.waits.response:g} seconds for the result. If `Accept` prefers `{STREAM}`, the response "
        f"is an event stream of up to {workflow.waits.stream:g} seconds: `running`, any number of `progress`, and "
        f"finally `result`, `problem`, or `running` if the wait ends first. `read{workflow.title}` takes it up again."
    )
    operation["parameters"] = [
        ref("parameters", name) for name in ("Prefer", "IdempotencyKey", "RequestId", "Traceparent")
    ]
    operation["requestBody"] = {"required": True, "content": {JSON: body}}
    return operation


def _read(workflow: Workflow) -> dict[str, Any]:
    complete = f"The stream is complete: `Last-Event-ID: end` with `{STREAM}`."
    results = _results(workflow) | {204: {"description": complete, "headers": REQUEST_ID}}
    operation = _operation(
        f"read{workflow.title}", "Get the result of an execution, or wait for it", results, operations.READ, workflow
    )
    operation["description"] = (
        "Responds with what is known now, from Step Functions' own record, or waits with `Prefer: wait=N`. If `Accept` "
        f"prefers `{STREAM}`, the response is an event stream."
    )
    operation["parameters"] = [ref("parameters", name) for name in ("Prefer", "RequestId", "LastEventId")]
    return operation


def _head(workflow: Workflow) -> dict[str, Any]:
    operation = _operation(
        f"head{workflow.title}",
        "Get the status and headers of a JSON response to `GET`",
        _results(workflow),
        operations.READ,
        workflow,
    )
    operation["description"] = "Responds like `GET`, without the body; never as a stream."
    for response in operation["responses"].values():
        response.pop("content", None)
    operation["parameters"] = [ref("parameters", name) for name in ("Prefer", "RequestId")]
    return operation


def _retry(workflow: Workflow) -> dict[str, Any]:
    operation = _operation(
        f"retry{workflow.title}",
        "Run a failed execution again, and wait for its result",
        _results(workflow),
        operations.RETRY,
        workflow,
    )
    operation["description"] = (
        "Runs an execution that failed, timed out or was stopped again from where it failed, with the same input, for "
        f"14 days after its end. Waits like `create{workflow.title}`, also for one that runs already."
    )
    operation["parameters"] = [ref("parameters", name) for name in ("Prefer", "RequestId", "LastEventId")]
    return operation


def _stop(workflow: Workflow) -> dict[str, Any]:
    stopped = {204: {"description": "The execution is stopped or had already ended.", "headers": REQUEST_ID}}
    operation = _operation(f"stop{workflow.title}", "Stop an execution", stopped, operations.REMOVE)
    operation["description"] = "Requests that wait for it are answered: the workflow was aborted."
    return operation


def _results(workflow: Workflow) -> dict[int, dict[str, Any]]:
    headers = REQUEST_ID | OF_A_RESULT
    events = f'Server-Sent Events, for example `event: result`, `id: end`, `data: {{"id":"{EXECUTION_ID}"}}`.'
    stream = {"schema": {"type": "string", "description": events}}
    return {
        200: {
            "description": "The execution succeeded, or the response is an event stream.",
            "headers": headers,
            "content": {JSON: {"schema": ref("schemas", result_schema_name(workflow))}, STREAM: stream},
        },
        202: {
            "description": "The execution is still running; its result will be at `Location`.",
            "headers": headers | {name: ref("headers", name) for name in ("Location", "Retry-After")},
            "content": {JSON: {"schema": ref("schemas", "Running")}},
        },
    }


def _operation(
    name: str,
    summary: str,
    responses: dict[int, dict[str, Any]],
    problems: Iterable[type[Problem]],
    workflow: Workflow | None = None,
) -> dict[str, Any]:
    described = responses | problem_responses.of_operation(problems)
    if workflow is not None:
        described = problem_responses.of_workflow(described, workflow)
    return {"operationId": name, "tags": ["events"], "summary": summary, "responses": _by_status(described)}


def _plain(name: str, summary: str, description: str, kind: str, responses: dict[int, str | None]) -> dict[str, Any]:
    described: dict[int, dict[str, Any]] = {}
    for status, text in responses.items():
        content: dict[str, Any] = {"schema": {"type": "string"} if not kind.endswith("json") else {"type": "object"}}
        if text is not None:
            content = {"schema": ref("schemas", "Status"), "example": {"status": text}}
        described[status] = {
            "description": summary if text is None else f"For example `{text}`",
            "headers": REQUEST_ID,
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
    headers = REQUEST_ID | {"ETag": ref("headers", "ETag")}
    operation["responses"]["200"]["headers"] = headers
    unchanged = {"description": "Unchanged: `If-None-Match` names the current `ETag`.", "headers": headers}
    operation["responses"] = dict(sorted((operation["responses"] | {"304": unchanged}).items()))
    return operation


def _by_status(responses: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Sort the responses by status, and add those to requests that never reach a route."""
    return {str(status): it for status, it in sorted((problem_responses.before_routing() | responses).items())}

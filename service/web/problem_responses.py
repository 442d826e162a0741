"""Problems in the OpenAPI description: the responses of an operation that are errors."""

from __future__ import annotations

from http import HTTPStatus
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from service import errors
from service.web.components import EXECUTION_ID, ref
from service.web.problems import TYPE_PREFIX, workflow_type

if TYPE_CHECKING:
    from collections.abc import Iterable

    from service.errors import Problem
    from service.web.workflow import Workflow

REQUEST_ID: Final = {"X-Request-Id": ref("headers", "X-Request-Id")}
"""The header of every response."""

OF_A_RESULT: Final = {name: ref("headers", name) for name in ("Preference-Applied", "Server-Timing")}
"""The headers of responses that say how an execution ended."""

_PROBLEM: Final = "application/problem+json"


def of_operation(problems: Iterable[type[Problem]]) -> dict[int, dict[str, Any]]:
    """Describe these problems, and internal errors, by status."""
    by_status = groupby(sorted(problems, key=lambda kind: kind.status), key=lambda kind: kind.status)
    responses = {status: _problem(list(kinds)) for status, kinds in by_status}
    value = {"type": TYPE_PREFIX + "unexpected", "title": "Internal error", "status": 500, "request_id": "..."}
    responses[500]["description"] += "\n- `unexpected`: Internal error."
    responses[500]["content"][_PROBLEM]["examples"]["unexpected"] = {"summary": "Internal error", "value": value}
    return responses


def of_workflow(responses: dict[int, dict[str, Any]], workflow: Workflow) -> dict[int, dict[str, Any]]:
    """Add the errors to which the settings of a workflow give statuses."""
    for name, status in workflow.errors.statuses.items():
        error = name.replace("*", "...")
        value = {"type": workflow_type(workflow.name, error), "title": error, "status": status, "error": error}
        value |= {"detail": "The workflow ended with an error.", "instance": workflow.path, "id": EXECUTION_ID}
        new = {"description": "", "headers": REQUEST_ID | OF_A_RESULT, "content": {_PROBLEM: {"examples": {}}}}
        response = responses.setdefault(status, new)
        line = f"- `{name}`: An error of the workflow."
        response["description"] = f"{response['description']}\n{line}".strip()
        response["content"][_PROBLEM]["schema"] = ref("schemas", "Problem")
        response["content"][_PROBLEM]["examples"][error] = {"summary": "An error of the workflow", "value": value}
    return responses


def before_routing() -> dict[int, dict[str, Any]]:
    """Describe the responses to requests that never reach a route."""
    return {
        400: _blank("Malformed HTTP request.", 400),
        417: _blank("`Expect` is not `100-continue`.", 417),
        431: _blank("A line of the request head is too long.", 431),
    }


def _problem(kinds: list[type[Problem]]) -> dict[str, Any]:
    headers = dict(REQUEST_ID)
    if any(issubclass(kind, errors.WorkflowProblem) for kind in kinds):
        headers |= OF_A_RESULT
    if any(issubclass(kind, errors.TryLater) for kind in kinds):
        headers["Retry-After"] = ref("headers", "Retry-After")
    if errors.UnsupportedEncoding in kinds:
        headers["Accept-Encoding"] = ref("headers", "Accept-Encoding")
    examples = {kind.slug: {"summary": kind.title, "value": _example_of(kind)} for kind in kinds}
    return {
        "description": "\n".join(f"- `{kind.slug}`: {(kind.__doc__ or kind.title).splitlines()[0]}" for kind in kinds),
        "headers": headers,
        "content": {_PROBLEM: {"schema": ref("schemas", "Problem"), "examples": examples}},
    }


def _blank(description: str, status: int) -> dict[str, Any]:
    value = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "request_id": "..."}
    return {
        "description": description,
        "headers": REQUEST_ID,
        "content": {_PROBLEM: {"schema": ref("schemas", "Problem"), "example": value}},
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

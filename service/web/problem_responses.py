"""Problems in the OpenAPI description: the responses of an operation that are errors."""

from __future__ import annotations

from http import HTTPStatus
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from service import errors
from service.web.components import EXECUTION_ID, ref
from service.web.problems import TYPE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from service.errors import Problem

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

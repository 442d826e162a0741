"""Problem details (RFC 9457, `application/problem+json`)."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import orjson
from aiohttp import hdrs

from service.errors import Problem, SchemaViolation, TryLater, UnsupportedEncoding, WorkflowError, WorkflowFailed
from service.web.representation import NO_STORE, Representation

if TYPE_CHECKING:
    from aiohttp import web

TYPE_PREFIX: Final = "urn:problem-type:sync-front:"
"""Problem types are names, not addresses, so they are the same wherever the service runs."""

WORKFLOW_TYPE_PREFIX: Final = "urn:problem-type:workflow:"
"""Problem types of workflows: their names and those of their errors follow."""

ENCODINGS: Final = ("gzip", "deflate", "identity")
"""Supported content encodings of a request body (RFC 9110, 8.4.1)."""

ENCODINGS_DETAIL: Final = f"Use one of these content encodings: {', '.join(ENCODINGS)}."

MAX_RETRY_AFTER_S: Final = 30
"""Upper limit of `Retry-After`, because every estimate may be wrong."""


def from_problem(problem: Problem, instance: str, request_id: str) -> Representation:
    """Write an expected problem; `instance` is the path of the request."""
    more: dict[str, Any] = {}
    headers: dict[str, str] = {}
    if problem.execution_id is not None:
        more["id"] = problem.execution_id
    if isinstance(problem, WorkflowFailed):
        more["error"] = problem.error
    elif isinstance(problem, SchemaViolation):
        more["errors"] = [{"pointer": fault.pointer, "detail": fault.detail} for fault in problem.violations]
    elif isinstance(problem, TryLater):
        headers[hdrs.RETRY_AFTER] = retry_after(problem.retry_after)
    elif isinstance(problem, UnsupportedEncoding):
        headers[hdrs.ACCEPT_ENCODING] = ", ".join(ENCODINGS)
    kind, title, status = TYPE_PREFIX + problem.slug, problem.title, problem.status
    if isinstance(problem, WorkflowError):
        kind, title, status = workflow_type(problem.workflow, problem.error), problem.error, problem.mapped_status
    return _problem(
        {
            "type": kind,
            "title": title,
            "status": status,
            "detail": problem.detail,
            **({"instance": instance} if instance else {}),
            **({"request_id": request_id} if request_id else {}),
            **more,
        },
        headers,
    )


def workflow_type(workflow: str, error: str) -> str:
    """Return the problem type of a workflow's own error."""
    return f"{WORKFLOW_TYPE_PREFIX}{workflow}:{quote(error, safe='')}"


def from_http(error: web.HTTPException, instance: str, request_id: str) -> Representation:
    """Write an error that aiohttp itself raised: an unknown path, or a method the path does not support."""
    headers: dict[str, str] = {hdrs.ALLOW: error.headers[hdrs.ALLOW]} if hdrs.ALLOW in error.headers else {}
    more = {}
    if hdrs.ALLOW in headers:
        more["detail"] = f"Use one of these methods: {headers[hdrs.ALLOW].replace(',', ', ')}."
    elif error.status == 404 and instance.endswith("/"):
        more["detail"] = "Try the path without the slash at its end."
    return from_status(error.status, headers, **more, instance=instance, request_id=request_id)


def from_status(status: int, headers: dict[str, str] | None = None, **more: str) -> Representation:
    """Write a problem that consists of its status alone."""
    members = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    return _problem(members | more, headers or {})


def unexpected(instance: str, request_id: str) -> Representation:
    """Write an internal error: only the request id, which leads to the log."""
    return _problem(
        {
            "type": TYPE_PREFIX + "unexpected",
            "title": "Internal error",
            "status": 500,
            "detail": "Look up the request id in the service's log.",
            "instance": instance,
            "request_id": request_id,
        },
        {},
    )


def retry_after(seconds: float) -> str:
    """Write an estimate in seconds as `Retry-After`, from 1 to MAX_RETRY_AFTER_S."""
    return str(max(1, min(MAX_RETRY_AFTER_S, math.ceil(seconds))))


def _problem(members: dict[str, Any], headers: dict[str, str]) -> Representation:
    return Representation(members["status"], orjson.dumps(members), "application/problem+json", NO_STORE | headers)

"""Problems as HTTP answers: RFC 9457, `application/problem+json`."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import hdrs

from service.errors import Problem, SchemaViolation, Unavailable, UnsupportedEncoding, WorkflowFailed
from service.web.representation import Representation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

TYPE_PREFIX: Final = "urn:problem-type:sync-front:"
"""Problem types are names, not addresses: they stay the same wherever the service runs."""

ENCODINGS: Final = ("gzip", "deflate", "identity")
"""The content encodings that a body may have (RFC 9110, 8.4.1)."""

SEND_ENCODED: Final = f"Send the body with one of these content encodings: {', '.join(ENCODINGS)}."

LONGEST_PAUSE: Final = 30
"""Seconds that a caller is told to stay away at the most: every guess may be wrong."""


def from_problem(problem: Problem, instance: str, request_id: str) -> Representation:
    """Answer with an expected problem; `instance` is the path that was asked for."""
    more: dict[str, Any] = {}
    headers: dict[str, str] = {}
    if problem.execution_id is not None:
        more["id"] = problem.execution_id
    if isinstance(problem, WorkflowFailed):
        more["error"] = problem.error
    elif isinstance(problem, SchemaViolation):
        more["errors"] = [{"pointer": fault.pointer, "detail": fault.detail} for fault in problem.violations]
    elif isinstance(problem, Unavailable):
        headers[hdrs.RETRY_AFTER] = retry_after(problem.retry_after)
    elif isinstance(problem, UnsupportedEncoding):
        headers[hdrs.ACCEPT_ENCODING] = ", ".join(ENCODINGS)
    return _problem(
        {
            "type": TYPE_PREFIX + problem.slug,
            "title": problem.title,
            "status": problem.status,
            "detail": problem.detail,
            **({"instance": instance} if instance else {}),
            **({"request_id": request_id} if request_id else {}),
            **more,
        },
        headers,
    )


def from_http(error: web.HTTPException, instance: str, request_id: str) -> Representation:
    """Answer with an error that aiohttp itself raised: an unknown path, a method that a path does not have."""
    headers: dict[str, str] = {hdrs.ALLOW: error.headers[hdrs.ALLOW]} if hdrs.ALLOW in error.headers else {}
    return from_status(error.status, headers, instance=instance, request_id=request_id)


def from_status(status: int, headers: Mapping[str, str] | None = None, **more: str) -> Representation:
    """Answer with a problem that says no more than its status."""
    members = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    return _problem(members | more, headers or {})


def unexpected(instance: str, request_id: str) -> Representation:
    """Answer with a fault of our own: nothing of it but the request id that leads to the log."""
    return _problem(
        {
            "type": TYPE_PREFIX + "unexpected",
            "title": "The service failed",
            "status": 500,
            "detail": "The request id leads to the log of what went wrong.",
            "instance": instance,
            "request_id": request_id,
        },
        {},
    )


def retry_after(seconds: float) -> str:
    """Write a guess of so many seconds as a `Retry-After`, from one second to half a minute."""
    return str(max(1, min(LONGEST_PAUSE, math.ceil(seconds))))


def _problem(members: dict[str, Any], headers: Mapping[str, str]) -> Representation:
    return Representation(members["status"], orjson.dumps(members), "application/problem+json", headers)

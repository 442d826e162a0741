"""Around every request: its id, its end as a proper answer whatever happens, and one line in the log."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import structlog
from aiohttp import web

from service.bridge import Answer
from service.errors import BodyTooLarge, BodyTooSlow, Problem
from service.telemetry.metrics import Metrics
from service.web import problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.typedefs import Handler

log = structlog.get_logger(__name__)

EXECUTION_ID: Final = web.RequestKey("execution_id", str)
"""Set by a handler as soon as it knows which execution a request is about."""

LEAVING: Final[web.AppKey[Callable[[], bool]]] = web.AppKey("leaving")
"""Whether the instance is about to stop, so that no caller should keep its connection."""

HEADERS: Final = web.RequestKey("headers", dict)
"""Headers that a handler wants on the answer, however it ends."""

METRICS: Final = web.AppKey("metrics", Metrics)

ANSWER: Final = web.RequestKey("answer", Answer)
"""Set by a handler as soon as it has one: how long each part of it took."""

_OPERATIONS: Final = {"POST": "start", "GET": "read", "HEAD": "read", "DELETE": "stop"}
_OUTCOMES: Final = {200: "succeeded", 202: "running", 204: "stopped"}

REQUEST_ID_HEADER: Final = "X-Request-Id"
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:=/+-]{1,128}")


@web.middleware
async def answer_everything(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every end of a handler into an answer; log it without anything that the caller sent."""
    began = time.perf_counter()
    given = request.headers.get(REQUEST_ID_HEADER, "")
    request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid4())
    problem = None
    response: web.StreamResponse
    try:
        response = await handler(request)
    except Problem as error:
        problem = error.slug
        if error.execution_id is not None:
            request[EXECUTION_ID] = error.execution_id
        response = problems.from_problem(error, request.path, request_id)
        if isinstance(error, BodyTooLarge | BodyTooSlow) or request.content.exception() is not None:
            # The rest of the body is in the way of a next request: the caller must know that there is none here.
            response.force_close()
    except web.HTTPException as error:
        response = problems.from_http(error, request.path, request_id)
    except asyncio.CancelledError:
        _end(request, request_id, began, status=499, problem="caller-left")
        raise
    except Exception:
        # Whatever it was: the caller gets an answer and the operator its place, neither gets its text.
        log.exception("unexpected_error", request_id=request_id)
        response = problems.unexpected(request.path, request_id)
    response.headers[REQUEST_ID_HEADER] = request_id
    if request.app[LEAVING]():
        response.force_close()
    if (more := request.get(HEADERS)) is not None:
        response.headers.update(more)
    _end(request, request_id, began, status=response.status, problem=problem)
    return response


def _end(request: web.Request, request_id: str, began: float, *, status: int, problem: str | None) -> None:
    """Count and log a request that has ended."""
    seconds = time.perf_counter() - began
    resource = request.match_info.route.resource
    answer = request.get(ANSWER)
    if resource is not None and resource.canonical.endswith(("/event", "/event/{id}")):
        operation = _OPERATIONS.get(request.method, "other")
        metrics = request.app[METRICS]
        metrics.ended(operation, problem or _OUTCOMES.get(status, "other"))
        if operation == "start" and answer is not None:
            metrics.answered(seconds, answer.start, answer.workflow)
    log.info(
        "request",
        method=request.method,
        # The template, not the path: a path is the caller's text.
        route=resource.canonical if resource is not None else None,
        status=status,
        problem=problem,
        execution_id=request.get(EXECUTION_ID),
        request_id=request_id,
        ms=_milliseconds(seconds),
        start_ms=_milliseconds(answer.start) if answer is not None else None,
        workflow_ms=_milliseconds(answer.workflow) if answer is not None else None,
    )


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)

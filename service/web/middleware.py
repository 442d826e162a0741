"""Around every request: its id, its end as a proper answer whatever happens, and one line in the log."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import structlog
from aiohttp import ClientConnectionResetError, hdrs, web

from service.errors import BodyTooLarge, BodyTooSlow, Problem
from service.telemetry.sampling import Sampler
from service.web import problems
from service.web.connections import Connection
from service.web.context import CONTEXT, DRAINING, METRICS, SAMPLER, TRACES, Context
from service.web.tracing import trace_header, trace_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.typedefs import Handler


log = structlog.get_logger(__name__)

_OPERATIONS: Final = {"POST": "start", "GET": "read", "HEAD": "read", "DELETE": "stop"}
_PROBES: Final = ("/healthz", "/readyz", "/metrics")
_OUTCOMES: Final = {200: "succeeded", 202: "running", 204: "stopped"}

REQUEST_ID_HEADER: Final = "X-Request-Id"
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:=/+-]{1,128}")


@web.middleware
async def answer_everything(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every end of a handler into an answer; log it without anything that the caller sent."""
    began = time.perf_counter()
    given = request.headers.get(REQUEST_ID_HEADER, "")
    request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid4())
    context = request[CONTEXT] = Context(request_id)
    connection = request.protocol
    if isinstance(connection, Connection):
        connection.begin()
    _begin_trace(request, context)
    response: web.StreamResponse
    try:
        response = await handler(request)
    except (asyncio.CancelledError, ClientConnectionResetError):
        context.problem = "client-disconnected"
        _end(request, context, began, status=499)
        raise
    except Exception as error:  # noqa: BLE001 - whatever it was, the caller gets an answer
        response = as_answer(request, error)
        if isinstance(error, BodyTooLarge | BodyTooSlow) or request.content.exception() is not None:
            # The rest of the body is in the way of a next request: the caller must know that there is none here.
            response.force_close()
    finally:
        if isinstance(connection, Connection):
            connection.end()
    response.headers[REQUEST_ID_HEADER] = request_id
    if request.app[DRAINING]():
        response.force_close()
    if context.headers is not None:
        response.headers.update(context.headers)
    _end(request, context, began, status=response.status)
    return response


def as_answer(request: web.Request, error: Exception) -> web.Response:
    """Write what ended a request as a problem, and note it for the log."""
    context = request[CONTEXT]
    request_id = context.request_id
    if isinstance(error, Problem):
        context.problem = error.slug
        context.execution_id = error.execution_id or context.execution_id
        context.start_attempts = error.start_attempts or context.start_attempts
        return problems.from_problem(error, request.path, request_id)
    if isinstance(error, web.HTTPException):
        return problems.from_http(error, request.path, request_id)
    # Whatever it was: the caller gets an answer and the operator its place, neither gets its text.
    context.problem = "unexpected"
    log.error("unexpected_error", request_id=request_id, exc_info=error)
    return problems.unexpected(request.path, request_id)


def sample(app: web.Application) -> None:
    """Log what `answer_everything` has to say, as far as it is not too much."""
    sampler = app[SAMPLER] = Sampler(_tell_left_out)

    async def flush(_app: web.Application) -> None:
        sampler.flush()

    app.on_cleanup.append(flush)


def _tell_left_out(number: Mapping[str, int]) -> None:
    log.info("requests_suppressed", count=sum(number.values()), outcomes=dict(number))


def _begin_trace(request: web.Request, context: Context) -> None:
    """Take note of the trace that a request belongs to, and begin its part of it where traces are written."""
    header = context.trace_header = trace_header(request.headers)
    traces = request.app[TRACES]
    if traces is not None and not (route := _route(request)).endswith(_PROBES):
        method = request.method if request.method in hdrs.METH_ALL else "_OTHER"
        context.spans = traces.begin(method, route, request.headers, header)


def _route(request: web.Request) -> str:
    """Return the template, not the path: a path is the caller's text."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""


def _end(request: web.Request, context: Context, began: float, *, status: int) -> None:
    """Count and log a request that has ended."""
    seconds = time.perf_counter() - began
    problem, answer = context.problem, context.answer
    route = _route(request)
    runs = answer is not None and answer.outcome is None  # a stream that ends so has had its 200 long before
    outcome = problem or ("running" if runs else _OUTCOMES.get(status, "other"))
    if route.endswith(("/event", "/event/{id}")):
        operation = _OPERATIONS.get(request.method, "other")
        metrics = request.app[METRICS]
        metrics.ended(operation, outcome)
        if operation == "start" and answer is not None:
            metrics.responded(seconds, answer.start, answer.workflow, answer.waited)
    if context.spans is not None:
        context.spans.end(
            status=status,
            outcome=outcome,
            execution_id=context.execution_id,
            start=answer.start if answer is not None else None,
            start_attempts=context.start_attempts,
        )
    if not request.app[SAMPLER].allows(outcome):
        return
    level = log.warning if status >= 500 else log.info
    if route.endswith(_PROBES):  # every few seconds; what keeps an instance from being ready has a line of its own
        level = log.debug
    level(
        "request",
        method=request.method,
        route=route,
        status=status,
        problem=problem,
        execution_id=context.execution_id,
        request_id=context.request_id,
        trace_id=trace_id(context.trace_header),
        ms=_milliseconds(seconds),
        start_ms=_milliseconds(answer.start) if answer is not None else None,
        start_attempts=context.start_attempts or None,
        workflow_ms=_milliseconds(answer.workflow) if answer is not None else None,
    )


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)

"""Middleware of every request: a request id, a response whatever happens, metrics and one log line."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import ClientConnectionResetError, hdrs, web

from service.telemetry.guard import guarded
from service.telemetry.sampling import Sampler
from service.web import responses
from service.web.context import (
    CONTEXT,
    DRAINING,
    METRICS,
    REQUEST_ID_HEADER,
    SAMPLER,
    TRACES,
    WORKFLOWS,
    Context,
    new_request_id,
)
from service.web.http_connection import HttpConnection
from service.web.representation import SERVER
from service.web.tracing import trace_header, trace_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.typedefs import Handler


log = structlog.get_logger(__name__)

_OPERATIONS: Final = {"POST": "start", "GET": "read", "HEAD": "read", "DELETE": "stop"}
_RETRY: Final = "/{id}/retry"
_PROBES: Final = ("/healthz", "/readyz", "/metrics")
_OUTCOMES: Final = {200: "succeeded", 202: "running"}
_NO_CONTENT: Final = {"DELETE": "stopped", "GET": "ended"}
"""What a 204 means: an execution was stopped, or a stream that was taken up again had reported its end before."""

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:=/+-]{1,128}")


@web.middleware
async def handle_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into a response; log the request without anything the caller sent."""
    started_at = time.perf_counter()
    given = request.headers.get(REQUEST_ID_HEADER, "")
    request_id = given if _REQUEST_ID.fullmatch(given) else new_request_id()
    context = request[CONTEXT] = Context(request_id)
    connection = request.protocol
    if isinstance(connection, HttpConnection):
        connection.begin()
    _begin_trace(request, context)
    response: web.StreamResponse
    try:
        response = await handler(request)
    except (asyncio.CancelledError, ClientConnectionResetError):
        context.problem = "client-disconnected"
        _end(request, context, started_at, status=499)
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a response
        response = responses.problem(request, error).to_response()
    finally:
        if isinstance(connection, HttpConnection):
            connection.end()
    response.headers[REQUEST_ID_HEADER] = request_id
    if request.app[DRAINING]():
        response.force_close()
    if context.headers is not None:
        response.headers.update(context.headers)
    _end(request, context, started_at, status=response.status)
    return response


async def name_server(_request: web.Request, response: web.StreamResponse) -> None:
    """Replace the versions in the `Server` header; connected to `Application.on_response_prepare`."""
    response.headers.update(SERVER)


def sample_log(app: web.Application) -> None:
    """Limit how many lines `handle_errors` logs in a second."""
    sampler = app[SAMPLER] = Sampler(_log_suppressed)

    async def flush(_app: web.Application) -> None:
        sampler.flush()

    app.on_cleanup.append(flush)


def _log_suppressed(counts: Mapping[str, int]) -> None:
    log.info("requests_suppressed", count=sum(counts.values()), outcomes=dict(counts))


@guarded
def _begin_trace(request: web.Request, context: Context) -> None:
    """Note the trace that a request belongs to, and begin its span if traces are exported."""
    header = context.trace_header = trace_header(request.headers)
    traces = request.app[TRACES]
    if traces is not None and not (route := _route(request)).endswith(_PROBES):
        method = request.method if request.method in hdrs.METH_ALL else "_OTHER"
        context.spans = traces.begin(method, route, request.headers, header)


def _route(request: web.Request) -> str:
    """Return the route's template, not the path, which is text from the caller."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""


@guarded
def _end(request: web.Request, context: Context, started_at: float, *, status: int) -> None:
    """Count, trace and log a request that has ended."""
    seconds = time.perf_counter() - started_at
    problem, result = context.problem, context.result
    more = context.log_fields
    route = _route(request)
    running = result is not None and result.outcome is None  # a stream has sent its 200 long before
    ended = _NO_CONTENT.get(request.method) if status == 204 else _OUTCOMES.get(status)
    outcome = problem or ("running" if running else ended or "other")
    workflow = request.app[WORKFLOWS].get(route)
    if workflow is not None:
        operation = "retry" if route.endswith(_RETRY) else _OPERATIONS.get(request.method, "other")
        metrics = request.app[METRICS]
        metrics.ended(workflow, operation, outcome)
        if more is not None and "workflow_error" in more:
            metrics.workflow_failed(workflow, more["workflow_error"])
        if operation == "start" and result is not None:
            metrics.responded(workflow, seconds, result.start, result.workflow, result.waited)
    if context.spans is not None:
        context.spans.end(
            status=status,
            outcome=outcome,
            execution_id=context.execution_id,
            start=result.start if result is not None else None,
            start_attempts=context.start_attempts,
        )
    if not request.app[SAMPLER].allows(outcome):
        return
    level = log.warning if max(status, context.problem_status) >= 500 else log.info
    if route.endswith(_PROBES):  # every few seconds; why an instance is not ready has its own log event
        level = log.debug
    level(
        "request",
        method=request.method,
        route=route,
        workflow=workflow,
        status=status,
        problem=problem,
        **(more or {}),
        caller=context.caller,
        execution_id=context.execution_id,
        request_id=context.request_id,
        trace_id=trace_id(context.trace_header),
        ms=_milliseconds(seconds),
        start_ms=_milliseconds(result.start) if result is not None else None,
        start_attempts=context.start_attempts or None,
        workflow_ms=_milliseconds(result.workflow) if result is not None else None,
    )


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)

"""Around every request: its id, its end as a proper answer whatever happens, and one line in the log."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import structlog
from aiohttp import ClientConnectionResetError, hdrs, web

from service.bridge import Answer
from service.errors import BodyTooLarge, BodyTooSlow, Problem
from service.telemetry.metrics import Metrics
from service.telemetry.sampling import Sampler
from service.web import problems
from service.web.connections import Connection
from service.web.tracing import trace_header, trace_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp.typedefs import Handler

    from service.telemetry.traces import RequestTrace, Traces

log = structlog.get_logger(__name__)

EXECUTION_ID: Final = web.RequestKey("execution_id", str)
"""Set by a handler as soon as it knows which execution a request is about."""

LEAVING: Final[web.AppKey[Callable[[], bool]]] = web.AppKey("leaving")
"""Whether the instance is about to stop, so that no caller should keep its connection."""

REQUEST_ID: Final = web.RequestKey("request_id", str)
"""The id that the log knows a request by."""

PROBLEM: Final = web.RequestKey("problem", str)
"""The slug of the problem that a request ended with, for the log."""

HEADERS: Final = web.RequestKey("headers", dict)
"""Headers that a handler wants on the answer, however it ends."""

METRICS: Final = web.AppKey("metrics", Metrics)

ANSWER: Final = web.RequestKey("answer", Answer)
"""Set by a handler as soon as it has one: how long each part of it took."""

START_TRIES: Final = web.RequestKey("start_tries", int)
"""How often Step Functions was asked to start the execution, for the log."""

SAMPLER: Final = web.AppKey("sampler", Sampler)

TRACES: Final[web.AppKey[Traces]] = web.AppKey("traces")
"""Where traces are written, if anywhere."""

TRACE_HEADER: Final = web.RequestKey("trace_header", str)
"""The X-Ray trace header of a request, its own or one that was begun here."""

SPANS: Final[web.RequestKey[RequestTrace]] = web.RequestKey("spans")
"""What is written of a request into its trace."""

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
    request[REQUEST_ID] = request_id
    connection = request.protocol
    if isinstance(connection, Connection):
        connection.begin()
    _begin_trace(request)
    response: web.StreamResponse
    try:
        response = await handler(request)
    except (asyncio.CancelledError, ClientConnectionResetError):
        request[PROBLEM] = "caller-left"
        _end(request, request_id, began, status=499)
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
    if request.app[LEAVING]():
        response.force_close()
    if (more := request.get(HEADERS)) is not None:
        response.headers.update(more)
    _end(request, request_id, began, status=response.status)
    return response


def as_answer(request: web.Request, error: Exception) -> web.Response:
    """Write what ended a request as a problem, and note it for the log."""
    request_id = request[REQUEST_ID]
    if isinstance(error, Problem):
        request[PROBLEM] = error.slug
        if error.execution_id is not None:
            request[EXECUTION_ID] = error.execution_id
        if error.start_tries:
            request[START_TRIES] = error.start_tries
        return problems.from_problem(error, request.path, request_id)
    if isinstance(error, web.HTTPException):
        return problems.from_http(error, request.path, request_id)
    # Whatever it was: the caller gets an answer and the operator its place, neither gets its text.
    request[PROBLEM] = "unexpected"
    log.error("unexpected_error", request_id=request_id, exc_info=error)
    return problems.unexpected(request.path, request_id)


def sample(app: web.Application) -> None:
    """Log what `answer_everything` has to say, as far as it is not too much."""
    sampler = app[SAMPLER] = Sampler(_tell_left_out)

    async def flush(_app: web.Application) -> None:
        sampler.flush()

    app.on_cleanup.append(flush)


def _tell_left_out(number: Mapping[str, int]) -> None:
    log.info("requests_not_logged", number=sum(number.values()), outcomes=dict(number))


def _begin_trace(request: web.Request) -> None:
    """Take note of the trace that a request belongs to, and begin its part of it where traces are written."""
    header = trace_header(request.headers)
    if header is not None:
        request[TRACE_HEADER] = header
    traces = request.app.get(TRACES)
    if traces is not None and not (route := _route(request)).endswith(_PROBES):
        method = request.method if request.method in hdrs.METH_ALL else "_OTHER"
        request[SPANS] = traces.begin(method, route, request.headers, header)


def _route(request: web.Request) -> str:
    """Return the template, not the path: a path is the caller's text."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""


def _end(request: web.Request, request_id: str, began: float, *, status: int) -> None:
    """Count and log a request that has ended."""
    seconds = time.perf_counter() - began
    problem = request.get(PROBLEM)
    answer = request.get(ANSWER)
    route = _route(request)
    runs = answer is not None and answer.outcome is None  # a stream that ends so has had its 200 long before
    outcome = problem or ("running" if runs else _OUTCOMES.get(status, "other"))
    if route.endswith(("/event", "/event/{id}")):
        operation = _OPERATIONS.get(request.method, "other")
        metrics = request.app[METRICS]
        metrics.ended(operation, outcome)
        if operation == "start" and answer is not None:
            metrics.answered(seconds, answer.start, answer.workflow)
    if (spans := request.get(SPANS)) is not None:
        spans.end(
            status=status,
            outcome=outcome,
            execution_id=request.get(EXECUTION_ID),
            start=answer.start if answer is not None else None,
            start_tries=request.get(START_TRIES, 0),
        )
    if not request.app[SAMPLER].lets(outcome):
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
        execution_id=request.get(EXECUTION_ID),
        request_id=request_id,
        trace_id=trace_id(request.get(TRACE_HEADER)),
        ms=_milliseconds(seconds),
        start_ms=_milliseconds(answer.start) if answer is not None else None,
        start_tries=request.get(START_TRIES),
        workflow_ms=_milliseconds(answer.workflow) if answer is not None else None,
    )


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)

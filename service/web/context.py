"""The context of a request, and what its application shares with all requests."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from service.errors import WorkflowError
from service.telemetry.guard import guarded
from service.telemetry.metrics import Metrics
from service.telemetry.sampling import Sampler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from service.bridge.result import Result
    from service.errors import Problem
    from service.telemetry.traces import RequestTrace, Traces

MAPPED: Final = "workflow-error"
"""The outcome of a request whose execution failed with an error that the settings of its workflow answer with 4xx."""


@dataclass(slots=True)
class Context:
    """What the response, the log line, the metrics and the trace of one request need to know."""

    # One object under one key: aiohttp raises and catches an exception for each key that is missing.
    request_id: str
    """The caller's `X-Request-Id`, or a new one if that cannot be logged."""
    trace_header: str | None = None
    """The X-Ray trace header: the caller's, or that of a span begun here."""
    spans: RequestTrace | None = None
    """The spans of the request, if traces are exported."""
    caller: str | None = None
    """A keyed hash of who calls, if the gateway says that; by it, the requests of a caller are counted."""
    execution_id: str | None = None
    """The execution that the request is about, once known."""
    result: Result | None = None
    """What the bridge found out, once known."""
    start_attempts: int = 0
    """How many times StartExecution was called."""
    problem: str | None = None
    """The slug of the problem that ended the request, or MAPPED."""
    problem_status: int = 0
    """The status of that problem; a stream has sent its 200 before. 0 if there was none."""
    log_fields: Mapping[str, str] | None = None
    """What the log line says about that problem."""
    headers: dict[str, str] | None = None
    """Headers that a handler adds to the response, even if it raises."""

    def note_result(self, result: Result) -> None:
        """Note what the bridge found out."""
        self.result = result
        self.execution_id = result.execution_id
        self.start_attempts = result.start_attempts

    def note_problem(self, problem: Problem) -> None:
        """Note the problem that ends the request."""
        mapped = isinstance(problem, WorkflowError) and problem.mapped_status < 500
        self.problem = MAPPED if mapped else problem.slug
        self.log_fields = problem.log_fields
        self.execution_id = problem.execution_id or self.execution_id
        self.start_attempts = problem.start_attempts or self.start_attempts

    def begin_start(self) -> str | None:
        """Begin the StartExecution span if traces are exported; return the X-Ray trace header to send, if any."""
        if self.spans is not None:
            self.trace_header = guarded(self.spans.begin_start_execution_span)() or self.trace_header
        return self.trace_header


REQUEST_ID_HEADER: Final = "X-Request-Id"


def new_request_id() -> str:
    """Return 32 hex digits for a request without an id; a UUID would take four times as long."""
    return os.urandom(16).hex()


CONTEXT: Final = web.RequestKey("context", Context)

DRAINING: Final[web.AppKey[Callable[[], bool]]] = web.AppKey("draining")
"""Whether the instance is shutting down, so that callers should not keep their connections."""

METRICS: Final = web.AppKey("metrics", Metrics)

SAMPLER: Final = web.AppKey("sampler", Sampler)

WORKFLOWS: Final[web.AppKey[dict[str, str]]] = web.AppKey("workflows")
"""The name of the workflow of each route, by the route's template."""

TRACES: Final[web.AppKey[Traces | None]] = web.AppKey("traces")
"""Where traces are exported to, if anywhere."""

"""What is found out about a request on its way, and what its application offers to all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from service.telemetry.metrics import Metrics
from service.telemetry.sampling import Sampler

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.bridge.bridge import Answer
    from service.errors import Problem
    from service.telemetry.traces import RequestTrace, Traces


@dataclass(slots=True)
class Context:
    """One request, for its answer, its line in the log, the metrics and its trace.

    `trace_header` is its X-Ray trace header, its caller's or one that was begun here. `execution_id` and `answer` are
    set as soon as they are known, `problem` is the slug of the problem that it ended with, and `start_attempts` counts
    the calls of StartExecution. `headers` are those that a handler wants on the answer, however it
    ends.
    """

    # One object under one key: looking for a key that is not there costs aiohttp an exception.
    request_id: str
    trace_header: str | None = None
    spans: RequestTrace | None = None
    execution_id: str | None = None
    answer: Answer | None = None
    start_attempts: int = 0
    problem: str | None = None
    headers: dict[str, str] | None = None

    def note_answer(self, answer: Answer) -> None:
        """Note what the bridge found out."""
        self.answer = answer
        self.execution_id = answer.execution_id
        self.start_attempts = answer.start_attempts

    def note_problem(self, problem: Problem) -> None:
        """Note the problem that ends the request."""
        self.problem = problem.slug
        self.execution_id = problem.execution_id or self.execution_id
        self.start_attempts = problem.start_attempts or self.start_attempts

    def begin_start(self) -> str | None:
        """Begin the StartExecution span if traces are exported; return the X-Ray trace header to send, if any."""
        if self.spans is not None:
            self.trace_header = self.spans.start_execution()
        return self.trace_header


REQUEST_ID_HEADER: Final = "X-Request-Id"

CONTEXT: Final = web.RequestKey("context", Context)

DRAINING: Final[web.AppKey[Callable[[], bool]]] = web.AppKey("leaving")
"""Whether the instance is about to stop, so that no caller should keep its connection."""

METRICS: Final = web.AppKey("metrics", Metrics)

SAMPLER: Final = web.AppKey("sampler", Sampler)

TRACES: Final[web.AppKey[Traces | None]] = web.AppKey("traces")
"""Where traces are written, if anywhere."""

"""Responses from results and problems, as JSON or as an event stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import structlog
from aiohttp import hdrs, web

from service.errors import (
    InvalidResult,
    Problem,
    WorkflowAborted,
    WorkflowError,
    WorkflowFailed,
    WorkflowProblem,
    WorkflowTimedOut,
)
from service.stepfunctions.outcomes import Aborted, Failed, Succeeded, TimedOut
from service.web import bodies, events, problems
from service.web.context import CONTEXT, DRAINING, REQUEST_ID_HEADER
from service.web.negotiation import JSON
from service.web.representation import NO_STORE, Representation
from service.web.result_check import ResultCheck

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine

    from service.bridge.result import Result
    from service.web.events import Stream
    from service.web.preferences import Preferences
    from service.web.workflow import Workflow

log = structlog.get_logger(__name__)


class Responses:
    """Writes responses of a workflow. `prefix` is the stage prefix, such as `/dev`, or empty."""

    def __init__(self, workflow: Workflow, prefix: str) -> None:
        self._path = prefix + workflow.path
        self._workflow = workflow.name
        self._errors = workflow.errors
        self._broken_rules = ResultCheck(workflow.result_schema if workflow.check_results else None)

    def json(self, request: web.Request, preferences: Preferences, result: Result, seconds: float) -> web.Response:
        """Respond with a result that took the bridge `seconds`; raise a WorkflowProblem if the execution failed."""
        context = request[CONTEXT]
        context.note_result(result)
        headers = context.headers = {"Server-Timing": _server_timing(result, seconds)}
        # An instance that is full or shutting down responds at once with what it knows.
        waited = result.outcome is not None or result.waited > 0
        applied = preferences.applied if waited else preferences.applied_without_wait
        if applied is not None:
            headers["Preference-Applied"] = applied
        return self._representation(result).to_response()

    async def stream(
        self, request: web.Request, preferences: Preferences, stream: Stream, work: Coroutine[Any, Any, Result]
    ) -> web.StreamResponse:
        """Respond with the events of `work`; the last one is its result or its problem.

        A stream that could not wait, because its caller or the instance is at a limit, comes back no sooner than a 202
        would say: each time costs a read of the record.
        """
        context = request[CONTEXT]
        headers = {REQUEST_ID_HEADER: context.request_id}
        if preferences.applied is not None:
            headers["Preference-Applied"] = preferences.applied

        def running(execution_id: str, least_delay_ms: int = 0) -> bytes:
            context.execution_id = execution_id
            location = self._location(execution_id)
            data = orjson.dumps({"id": execution_id, "status": "RUNNING", "location": location})
            return events.running(data, max(least_delay_ms, stream.reconnect_delay_ms(request.app[DRAINING]())))

        def end(task: asyncio.Task[Result]) -> bytes:
            try:
                result = task.result()
                context.note_result(result)
                if result.outcome is None:
                    at_limit = not (result.waited or request.app[DRAINING]())
                    pause_s = int(problems.retry_after(result.remaining)) if at_limit else 0
                    return running(result.execution_id, 1000 * pause_s)
                return events.event("result", self._representation(result).body, events.END)
            except WorkflowProblem as error:
                return events.event("problem", problem(request, error).body, events.END)
            except Exception as error:  # noqa: BLE001 - the head is sent, so only an event can report it
                return events.event("problem", problem(request, error).body)

        return await stream.send(request, work, headers, running, end)

    def _location(self, execution_id: str) -> str:
        # Behind API Gateway every public path begins with the stage.
        return f"{self._path}/{execution_id}"

    def _representation(self, result: Result) -> Representation:
        execution_id = result.execution_id
        match result.outcome:
            case Succeeded(output):
                if broken := self._broken_rules(output):
                    raise InvalidResult(broken, execution_id=execution_id)
                return Representation(200, bodies.result(execution_id, output), JSON, NO_STORE)
            case Failed(error):
                status = self._errors.of(error)
                if status is not None:
                    raise WorkflowError(error, self._workflow, status, execution_id=execution_id)
                raise WorkflowFailed(error, execution_id=execution_id)
            case Aborted():
                raise WorkflowAborted("The execution was stopped before it finished.", execution_id=execution_id)
            case TimedOut():
                raise WorkflowTimedOut("The execution exceeded its time limit.", execution_id=execution_id)
            case None:
                body = orjson.dumps({"id": execution_id, "status": "RUNNING"})
                headers: dict[str, str] = {
                    hdrs.LOCATION: self._location(execution_id),
                    hdrs.RETRY_AFTER: problems.retry_after(result.remaining),
                    **NO_STORE,
                }
                return Representation(202, body, JSON, headers)


def problem(request: web.Request, error: Exception) -> Representation:
    """Write the problem that ended a request, and note it for the log line."""
    context = request[CONTEXT]
    if isinstance(error, Problem):
        context.note_problem(error)
        written = problems.from_problem(error, request.path, context.request_id)
    elif isinstance(error, web.HTTPException):
        written = problems.from_http(error, request.path, context.request_id)
    else:
        # The operator gets the traceback without the exception's text, the caller gets neither.
        context.problem = "unexpected"
        log.error("unexpected_error", request_id=context.request_id, exc_info=error)
        written = problems.unexpected(request.path, context.request_id)
    context.problem_status = written.status
    return written


def _server_timing(result: Result, seconds: float) -> str:
    """Write where `seconds` went, in milliseconds (Server Timing, W3C); `bridge` is the rest."""
    own = max(0.0, seconds - (result.start or 0.0) - result.waited)
    text = f"bridge;dur={own * 1000:.1f}"
    if result.workflow is not None:
        text = f"workflow;dur={result.workflow * 1000:.1f}, {text}"
    return text if result.start is None else f"start;dur={result.start * 1000:.1f}, {text}"

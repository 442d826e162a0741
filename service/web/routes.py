"""The routes of the service and what each does with the bridge."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import hdrs, web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0

from service.bridge.envelope import MAX_INPUT_BYTES
from service.errors import (
    IdempotencyUnavailable,
    UnknownExecution,
    WorkflowAborted,
    WorkflowFailed,
    WorkflowProblem,
    WorkflowTimedOut,
)
from service.stepfunctions.outcomes import Aborted, Failed, Succeeded, TimedOut
from service.web import bodies, cors, docs, events, expectations, idempotency, negotiation, openapi, preferences
from service.web.context import CONTEXT, DRAINING, METRICS, TRACES
from service.web.events import Stream
from service.web.middleware import REQUEST_ID_HEADER, answer_everything, as_answer, sample
from service.web.problems import retry_after

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection, Coroutine

    from service.bridge.bridge import Answer, Bridge
    from service.bridge.idempotency_keys import IdempotencyKeys
    from service.telemetry.metrics import Metrics
    from service.telemetry.traces import Traces
    from service.web.preferences import Preferences
    from service.web.schema import RequestSchema

_EXECUTION_ID: Final = re.compile(r"exec-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Results are somebody's data, and a URL's answer changes when the execution ends: no cache may keep it.
_NO_STORE: Final = {hdrs.CACHE_CONTROL: "no-store"}


class Routes:
    """The handlers.

    `keys` makes ids from idempotency keys, where they can be taken. `ready` tells why the instance may not take
    traffic, or None if it may.
    """

    def __init__(
        self,
        bridge: Bridge,
        schema: RequestSchema,
        *,
        keys: IdempotencyKeys | None,
        metrics: Metrics,
        response_timeout: float,
        stage_prefix: str,
        ready: Callable[[], str | None],
        cors_origins: Collection[str] = (),
    ) -> None:
        self._bridge = bridge
        self._schema = schema
        self._keys = keys
        self._metrics = metrics
        self._response_timeout = response_timeout
        self._prefix = f"/{stage_prefix}" if stage_prefix else ""
        self._ready = ready
        self._cors_origins = cors_origins
        self._description = orjson.dumps(
            openapi.document(schema, prefix=self._prefix, response_timeout=response_timeout), option=orjson.OPT_INDENT_2
        )

    def application(self, traces: Traces | None = None) -> web.Application:
        """Build the aiohttp application, with every path also below the stage prefix where one is set.

        Requests are written to `traces`, where there are some.
        """
        app = web.Application(middlewares=[answer_everything], client_max_size=MAX_INPUT_BYTES)
        app[METRICS] = self._metrics
        sample(app)
        app.on_response_prepare.append(expectations.refuse)
        app[TRACES] = traces
        app[DRAINING] = lambda: self._bridge.draining
        for prefix in dict.fromkeys(("", self._prefix)):
            app.add_routes(
                [
                    web.post(f"{prefix}/event", self.create),
                    web.get(f"{prefix}/event/{{id}}", self.read),
                    web.delete(f"{prefix}/event/{{id}}", self.remove),
                    web.get(f"{prefix}/healthz", self.healthz),
                    web.get(f"{prefix}/readyz", self.readyz),
                    web.get(f"{prefix}/metrics", self.metrics),
                    web.get(f"{prefix}/openapi.json", self.openapi),
                ]
            )
            docs.add_routes(app, prefix)
        if self._cors_origins:
            cors.allow(app, self._cors_origins)
        return app

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST /event: start a workflow and answer with its result."""
        stream = _stream(request)
        event = await bodies.read_event(request, self._schema)
        asked = preferences.parse(request.headers.getall("Prefer", ()))
        began = time.perf_counter()
        work = self._bridge.submit(
            event,
            asked.seconds(self._response_timeout),
            execution_id=self._id_from_key(request),
            trace_header=_trace_header(request),
            on_start=None if stream is None else stream.open,
            on_progress=None if stream is None else stream.progress,
        )
        if stream is not None:
            return await self._send(request, stream, work, asked)
        return self._answer(request, await work, asked, began)

    async def read(self, request: web.Request) -> web.StreamResponse:
        """GET /event/{id}: the result, as far as it is known now or within the wait that is asked for."""
        execution_id = _execution_id(request)
        asked = preferences.parse(request.headers.getall("Prefer", ()))
        stream = _stream(request)
        if stream is not None:
            if request.headers.get(events.LAST_EVENT_ID) == events.END:
                return web.Response(status=204)  # what tells a browser's EventSource to stay away
            wait = asked.seconds(self._response_timeout)
            work = self._bridge.follow(execution_id, wait, on_start=stream.open, on_progress=stream.progress)
            return await self._send(request, stream, work, asked)
        wait = asked.seconds(self._response_timeout) if asked.wait is not None else 0.0
        began = time.perf_counter()
        return self._answer(request, await self._bridge.follow(execution_id, wait), asked, began)

    async def remove(self, request: web.Request) -> web.Response:
        """DELETE /event/{id}: stop the execution."""
        await self._bridge.stop(_execution_id(request))
        return web.Response(status=204)

    async def healthz(self, _request: web.Request) -> web.Response:
        """GET /healthz: the process lives and its event loop turns."""
        return _status(200, "alive")

    async def readyz(self, _request: web.Request) -> web.Response:
        """GET /readyz: whether a load balancer may send requests here."""
        reason = self._ready()
        return _status(200, "ready") if reason is None else _status(503, reason)

    async def metrics(self, _request: web.Request) -> web.Response:
        """GET /metrics: everything that is measured, in the Prometheus text format."""
        body = generate_latest(self._metrics.registry)
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: CONTENT_TYPE_PLAIN_1_0_0})

    async def openapi(self, _request: web.Request) -> web.Response:
        """GET /openapi.json: the description of all this."""
        return web.Response(body=self._description, content_type="application/json")

    def _id_from_key(self, request: web.Request) -> str | None:
        key = idempotency.parse(request.headers.getall("Idempotency-Key", ()))
        if key is None:
            return None
        if self._keys is None:
            raise IdempotencyUnavailable("This deployment has no IDEMPOTENCY_SECRET, or its workflow is EXPRESS.")
        return self._keys.execution_id(key)

    async def _send(
        self, request: web.Request, stream: Stream, work: Coroutine[Any, Any, Answer], asked: Preferences
    ) -> web.StreamResponse:
        """Answer with a stream of events about what `work` finds out."""
        context = request[CONTEXT]
        headers = {REQUEST_ID_HEADER: context.request_id}
        applied = asked.applied(self._response_timeout)
        if applied is not None:
            headers["Preference-Applied"] = applied

        def running(execution_id: str) -> bytes:
            context.execution_id = execution_id
            location = self._location(execution_id)
            return events.event(
                "running", orjson.dumps({"id": execution_id, "status": "RUNNING", "location": location})
            )

        def end(task: asyncio.Task[Answer]) -> bytes:
            try:
                answer = context.answer = task.result()
                if answer.outcome is None:
                    return running(answer.execution_id)
                return events.event("result", _body(self._render(request, answer)), events.END)
            except WorkflowProblem as problem:
                return events.event("problem", _body(as_answer(request, problem)), events.END)
            except Exception as error:  # noqa: BLE001 - the head has been sent: this is the only place to tell it
                return events.event("problem", _body(as_answer(request, error)))

        return await stream.send(request, work, headers, running, end)

    def _location(self, execution_id: str) -> str:
        # Behind API Gateway the stage is part of every public path, so it is part of this one.
        return f"{self._prefix}/event/{execution_id}"

    def _answer(self, request: web.Request, answer: Answer, asked: Preferences, began: float) -> web.Response:
        headers = request[CONTEXT].headers = {"Server-Timing": _server_timing(answer, time.perf_counter() - began)}
        # An instance that is full or stopping tells what is known instead.
        waited = answer.outcome is not None or answer.waited > 0 or not asked.wait
        applied = asked.applied(self._response_timeout, waited=waited)
        if applied is not None:
            headers["Preference-Applied"] = applied
        return self._render(request, answer)

    def _render(self, request: web.Request, answer: Answer) -> web.Response:
        context = request[CONTEXT]
        context.answer, context.start_attempts = answer, answer.start_attempts
        execution_id = context.execution_id = answer.execution_id
        match answer.outcome:
            case Succeeded(output):
                body = bodies.result(execution_id, output)
                return web.Response(body=body, content_type="application/json", headers=_NO_STORE)
            case Failed(error):
                raise WorkflowFailed(error, execution_id=execution_id)
            case Aborted():
                raise WorkflowAborted("Somebody stopped the workflow.", execution_id=execution_id)
            case TimedOut():
                raise WorkflowTimedOut("The workflow exceeded its own time limit.", execution_id=execution_id)
            case None:
                location = self._location(execution_id)
                return web.Response(
                    status=202,
                    body=orjson.dumps({"id": execution_id, "status": "RUNNING"}),
                    content_type="application/json",
                    headers={hdrs.LOCATION: location, hdrs.RETRY_AFTER: retry_after(answer.left), **_NO_STORE},
                )


def _execution_id(request: web.Request) -> str:
    execution_id = request.match_info["id"]
    if _EXECUTION_ID.fullmatch(execution_id) is None:
        raise UnknownExecution("Execution ids look like exec-<uuid>.")
    request[CONTEXT].execution_id = execution_id
    return execution_id


def _trace_header(request: web.Request) -> str | None:
    """Return the X-Ray trace header for StartExecution: that of its own span where there is one."""
    context = request[CONTEXT]
    if context.spans is not None:
        context.trace_header = context.spans.start_execution()
    return context.trace_header


def _stream(request: web.Request) -> Stream | None:
    """Make a stream for a request that wants one; raise NotAcceptable for one that wants nothing that there is."""
    wanted = negotiation.wants_stream(request.headers.getall(hdrs.ACCEPT, ()))
    if not wanted or request.method == hdrs.METH_HEAD:
        return None
    return Stream(request.headers.get(events.LAST_EVENT_ID, ""))


def _body(response: web.Response) -> bytes:
    body = response.body
    if not isinstance(body, bytes):
        raise TypeError("answers are made of bytes")
    return body


def _server_timing(answer: Answer, total: float) -> str:
    """Write where the time went, in milliseconds (Server Timing, W3C); the bridge's own is what is left of `total`."""
    own = max(0.0, total - (answer.start or 0.0) - answer.waited)
    text = f"bridge;dur={own * 1000:.1f}"
    if answer.workflow is not None:
        text = f"workflow;dur={answer.workflow * 1000:.1f}, {text}"
    return text if answer.start is None else f"start;dur={answer.start * 1000:.1f}, {text}"


def _status(status: int, text: str) -> web.Response:
    return web.Response(status=status, body=orjson.dumps({"status": text}), content_type="application/json")

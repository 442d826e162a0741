"""The routes of the service and what each does with the bridge."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import hdrs, web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0

from service.envelope import MAX_INPUT_BYTES
from service.errors import (
    IdempotencyUnavailable,
    UnknownExecution,
    WorkflowAborted,
    WorkflowFailed,
    WorkflowTimedOut,
)
from service.outcomes import Aborted, Failed, Succeeded, TimedOut
from service.web import bodies, cors, idempotency, preferences
from service.web.middleware import ANSWER, EXECUTION_ID, HEADERS, LEAVING, METRICS, answer_everything
from service.web.problems import retry_after
from service.web.tracing import trace_header

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from service.bridge import Answer, Bridge
    from service.keys import Keys
    from service.schema import RequestSchema
    from service.telemetry.metrics import Metrics
    from service.web.preferences import Preferences

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
        keys: Keys | None,
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

    def application(self) -> web.Application:
        """Build the aiohttp application, with every path also below the stage prefix where one is set."""
        app = web.Application(middlewares=[answer_everything], client_max_size=MAX_INPUT_BYTES)
        app[METRICS] = self._metrics
        app[LEAVING] = lambda: self._bridge.draining
        for prefix in dict.fromkeys(("", self._prefix)):
            app.add_routes(
                [
                    web.post(f"{prefix}/event", self.create),
                    web.get(f"{prefix}/event/{{id}}", self.read),
                    web.delete(f"{prefix}/event/{{id}}", self.remove),
                    web.get(f"{prefix}/healthz", self.healthz),
                    web.get(f"{prefix}/readyz", self.readyz),
                    web.get(f"{prefix}/metrics", self.metrics),
                ]
            )
        if self._cors_origins:
            cors.allow(app, self._cors_origins)
        return app

    async def create(self, request: web.Request) -> web.Response:
        """POST /event: start a workflow and answer with its result."""
        event = await bodies.read_event(request, self._schema)
        asked = preferences.parse(request.headers.getall("Prefer", ()))
        began = time.perf_counter()
        answer = await self._bridge.submit(
            event,
            asked.seconds(self._response_timeout),
            execution_id=self._id_from_key(request),
            trace_header=trace_header(request.headers),
        )
        return self._answer(request, answer, asked, began)

    async def read(self, request: web.Request) -> web.Response:
        """GET /event/{id}: the result, as far as it is known now or within the wait that is asked for."""
        execution_id = _execution_id(request)
        asked = preferences.parse(request.headers.getall("Prefer", ()))
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

    def _id_from_key(self, request: web.Request) -> str | None:
        key = idempotency.parse(request.headers.getall("Idempotency-Key", ()))
        if key is None:
            return None
        if self._keys is None:
            raise IdempotencyUnavailable("This deployment has no IDEMPOTENCY_SECRET, or its workflow is EXPRESS.")
        return self._keys.execution_id(key)

    def _answer(self, request: web.Request, answer: Answer, asked: Preferences, began: float) -> web.Response:
        headers = request[HEADERS] = {"Server-Timing": _server_timing(answer, time.perf_counter() - began)}
        applied = asked.applied(self._response_timeout)
        if applied is not None:
            headers["Preference-Applied"] = applied
        return self._render(request, answer)

    def _render(self, request: web.Request, answer: Answer) -> web.Response:
        request[ANSWER] = answer
        execution_id = request[EXECUTION_ID] = answer.execution_id
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
                # Behind API Gateway the stage is part of every public path, so it is part of this one.
                location = f"{self._prefix}/event/{execution_id}"
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
    request[EXECUTION_ID] = execution_id
    return execution_id


def _server_timing(answer: Answer, total: float) -> str:
    """Write where the time went, in milliseconds (Server Timing, W3C); the bridge's own is what is left of `total`."""
    own = max(0.0, total - (answer.start or 0.0) - answer.waited)
    parts = {"start": answer.start, "workflow": answer.workflow, "bridge": own}
    return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in parts.items() if seconds is not None)


def _status(status: int, text: str) -> web.Response:
    return web.Response(status=status, body=orjson.dumps({"status": text}), content_type="application/json")

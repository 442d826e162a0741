"""The routes of the service."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import orjson
from aiohttp import hdrs, web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0

from service.bridge.envelope import MAX_INPUT_BYTES
from service.telemetry import protobuf
from service.web import cors, docs, events, expectations, openapi
from service.web.context import CONTEXT, DRAINING, METRICS, TRACES
from service.web.documents import Document
from service.web.events import Stream
from service.web.middleware import handle_errors, name_server, sample_log
from service.web.progress import HeldProgress
from service.web.representation import NO_STORE
from service.web.requests import RequestReader
from service.web.responses import Responses

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from service.bridge.bridge import Bridge
    from service.bridge.ids import Ids
    from service.telemetry.metrics import Metrics
    from service.telemetry.traces import Traces
    from service.web.callers import Callers
    from service.web.events import WatchStates
    from service.web.preferences import Waits
    from service.web.schema import RequestSchema


class Routes:
    """The route handlers.

    `ready` returns the reason why the instance is not ready for traffic, or None if it is. `draining` returns whether
    it is shutting down. With `watch_states`, streams report the states that executions enter. With `read_foreign`,
    executions that this service did not start can be read.
    """

    def __init__(  # noqa: PLR0913 - one for each thing that differs between deployments and tests
        self,
        bridge: Bridge,
        schema: RequestSchema,
        *,
        ids: Ids,
        callers: Callers,
        metrics: Metrics,
        waits: Waits,
        watch_states: WatchStates | None = None,
        stage_prefix: str,
        ready: Callable[[], str | None],
        draining: Callable[[], bool],
        cors_origins: Collection[str] = (),
        read_foreign: bool = False,
    ) -> None:
        self._bridge = bridge
        self._metrics = metrics
        self._prefix = f"/{stage_prefix}" if stage_prefix else ""
        self._requests = RequestReader(schema, ids, callers, waits, read_foreign=read_foreign)
        self._responses = Responses(self._prefix)
        self._held = HeldProgress()
        self._watch_states = watch_states
        self._ready = ready
        self._draining = draining
        self._cors_origins = cors_origins
        description = openapi.document(schema, prefix=self._prefix, waits=waits, read_foreign=read_foreign)
        self._description = Document(orjson.dumps(description, option=orjson.OPT_INDENT_2), "application/json")

    def application(self, traces: Traces | None = None) -> web.Application:
        """Build the aiohttp application; every path also exists below the stage prefix, if there is one.

        Requests are exported to `traces`, if given.
        """
        app = web.Application(middlewares=[handle_errors], client_max_size=MAX_INPUT_BYTES)
        app[METRICS] = self._metrics
        for operation, outcomes in openapi.OUTCOMES.items():
            self._metrics.expect(operation, outcomes)
        sample_log(app)
        app.on_response_prepare.extend((expectations.reject, name_server))
        app[TRACES] = traces
        app[DRAINING] = self._draining
        for prefix in dict.fromkeys(("", self._prefix)):
            app.add_routes(
                [
                    web.post(f"{prefix}/event", self.create),
                    web.get(f"{prefix}/event/{{id}}", self.read),
                    web.delete(f"{prefix}/event/{{id}}", self.remove),
                    web.get(f"{prefix}/healthz", self.healthz),
                    web.get(f"{prefix}/readyz", self.readyz),
                    web.get(f"{prefix}/metrics", self.metrics),
                    web.get(f"{prefix}/openapi.json", self._description.handle),
                ]
            )
            docs.add_routes(app, prefix)
        if self._cors_origins:
            cors.allow(app, self._cors_origins)
        return app

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST /event: start a workflow and respond with its result."""
        event_request = await self._requests.start(request)
        started_at = time.perf_counter()
        stream = Stream(self._held, self._watch_states) if event_request.stream else None
        work = self._bridge.submit(
            event_request.execution_id,
            event_request.event,
            event_request.preferences.wait,
            shared=event_request.keyed,
            caller=request[CONTEXT].caller,
            trace_header=request[CONTEXT].begin_start(),
            on_start=None if stream is None else stream.open,
            on_progress=None if stream is None else stream.progress,
        )
        if stream is not None:
            return await self._responses.stream(request, event_request.preferences, stream, work)
        return self._responses.json(request, event_request.preferences, await work, time.perf_counter() - started_at)

    async def read(self, request: web.Request) -> web.StreamResponse:
        """GET /event/{id}: the result, as far as it is known now or within the requested wait."""
        event_request = self._requests.follow(request)
        wait = event_request.preferences.wait
        if event_request.stream:
            if event_request.last_event_id == events.END:
                return web.Response(status=204, headers=NO_STORE)  # makes a browser's EventSource stop reconnecting
            stream = Stream(self._held, self._watch_states, event_request.last_event_id)
            work = self._bridge.follow(
                event_request.execution_id,
                wait,
                foreign=event_request.foreign,
                caller=request[CONTEXT].caller,
                on_start=stream.open,
                on_progress=stream.progress,
            )
            return await self._responses.stream(request, event_request.preferences, stream, work)
        started_at = time.perf_counter()
        result = await self._bridge.follow(
            event_request.execution_id, wait, foreign=event_request.foreign, caller=request[CONTEXT].caller
        )
        return self._responses.json(request, event_request.preferences, result, time.perf_counter() - started_at)

    async def remove(self, request: web.Request) -> web.Response:
        """DELETE /event/{id}: stop the execution."""
        await self._bridge.stop(self._requests.stop(request))
        return web.Response(status=204)

    async def healthz(self, _request: web.Request) -> web.Response:
        """GET /healthz: the process is alive and its event loop runs."""
        return _status(200, "alive")

    async def readyz(self, _request: web.Request) -> web.Response:
        """GET /readyz: whether a load balancer may send requests here."""
        reason = self._ready()
        return _status(200, "ready") if reason is None else _status(503, reason)

    async def metrics(self, request: web.Request) -> web.Response:
        """GET /metrics: all metrics, in Prometheus's text format, or in protobuf where that is preferred."""
        if protobuf.preferred(request.headers.get(hdrs.ACCEPT, "")):
            kind, body = protobuf.CONTENT_TYPE, protobuf.generate(self._metrics.registry)
        else:
            kind, body = CONTENT_TYPE_PLAIN_1_0_0, generate_latest(self._metrics.registry)
        return web.Response(body=body, headers=NO_STORE | {hdrs.CONTENT_TYPE: kind})


def _status(status: int, text: str) -> web.Response:
    body = orjson.dumps({"status": text})
    return web.Response(status=status, body=body, content_type="application/json", headers=NO_STORE)

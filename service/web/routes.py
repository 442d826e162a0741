"""The routes of the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from aiohttp import hdrs, web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0

from service.bridge.envelope import MAX_INPUT_BYTES
from service.telemetry import protobuf
from service.web import cors, docs, expectations, openapi, operations
from service.web.context import DRAINING, METRICS, TRACES, WORKFLOWS
from service.web.documents import Document
from service.web.middleware import handle_errors, name_server, sample_log
from service.web.progress import HeldProgress
from service.web.representation import NO_STORE
from service.web.workflow_routes import WorkflowRoutes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from service.telemetry.metrics import Metrics
    from service.telemetry.traces import Traces
    from service.web.callers import Callers
    from service.web.workflow import Workflow


class Routes:
    """The route handlers.

    `ready` returns the reason why the instance is not ready for traffic, or None if it is. `draining` returns whether
    it is shutting down. With `read_foreign`, executions that this service did not start can be read.
    """

    def __init__(
        self,
        workflows: Sequence[Workflow],
        *,
        callers: Callers,
        metrics: Metrics,
        stage_prefix: str,
        ready: Callable[[], str | None],
        draining: Callable[[], bool],
        cors_origins: Collection[str] = (),
        read_foreign: bool = False,
    ) -> None:
        self._workflows = workflows
        self._metrics = metrics
        self._prefix = f"/{stage_prefix}" if stage_prefix else ""
        held = HeldProgress()
        self._workflow_routes = [
            WorkflowRoutes(workflow, callers, held, prefix=self._prefix, read_foreign=read_foreign)
            for workflow in workflows
        ]
        self._ready = ready
        self._draining = draining
        self._cors_origins = cors_origins
        description = openapi.document(workflows, prefix=self._prefix, read_foreign=read_foreign)
        self._description = Document(orjson.dumps(description, option=orjson.OPT_INDENT_2), "application/json")

    def application(self, traces: Traces | None = None) -> web.Application:
        """Build the aiohttp application; every path also exists below the stage prefix, if there is one.

        Requests are exported to `traces`, if given.
        """
        app = web.Application(middlewares=[handle_errors], client_max_size=MAX_INPUT_BYTES)
        app[METRICS] = self._metrics
        for workflow in self._workflows:
            self._metrics.expect(workflow.name, operations.OUTCOMES)
        sample_log(app)
        app.on_response_prepare.extend((expectations.reject, name_server))
        app[TRACES] = traces
        app[DRAINING] = self._draining
        prefixes = tuple(dict.fromkeys(("", self._prefix)))
        app[WORKFLOWS] = {
            f"{prefix}{workflow.path}{end}": workflow.name
            for prefix in prefixes
            for workflow in self._workflows
            for end in ("", "/{id}", "/{id}/retry")
        }
        for prefix in prefixes:
            for routes in self._workflow_routes:
                app.add_routes(routes.routes(prefix))
            app.add_routes(
                [
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

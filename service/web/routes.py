"""The routes of the service and what each does with the bridge."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import hdrs, web

from service.errors import (
    UnknownExecution,
    WorkflowAborted,
    WorkflowFailed,
    WorkflowTimedOut,
)
from service.outcomes import Aborted, Failed, Succeeded, TimedOut
from service.web import bodies, preferences
from service.web.middleware import EXECUTION_ID, answer_everything
from service.workflows import MAX_INPUT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.bridge import Answer, Bridge
    from service.schema import RequestSchema

_EXECUTION_ID: Final = re.compile(r"exec-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Results are somebody's data, and a URL's answer changes when the execution ends: no cache may keep it.
_NO_STORE: Final = {hdrs.CACHE_CONTROL: "no-store"}


class Routes:
    """The handlers. `ready` tells why the instance may not take traffic, or None if it may."""

    def __init__(
        self,
        bridge: Bridge,
        schema: RequestSchema,
        *,
        response_timeout: float,
        stage_prefix: str,
        ready: Callable[[], str | None],
    ) -> None:
        self._bridge = bridge
        self._schema = schema
        self._response_timeout = response_timeout
        self._prefix = f"/{stage_prefix}" if stage_prefix else ""
        self._ready = ready

    def application(self) -> web.Application:
        """Build the aiohttp application, with every path also below the stage prefix where one is set."""
        app = web.Application(middlewares=[answer_everything], client_max_size=MAX_INPUT_BYTES)
        for prefix in dict.fromkeys(("", self._prefix)):
            app.add_routes(
                [
                    web.post(f"{prefix}/event", self.create),
                    web.get(f"{prefix}/event/{{id}}", self.read),
                    web.delete(f"{prefix}/event/{{id}}", self.remove),
                    web.get(f"{prefix}/healthz", self.healthz),
                    web.get(f"{prefix}/readyz", self.readyz),
                ]
            )
        return app

    async def create(self, request: web.Request) -> web.Response:
        """POST /event: start a workflow and answer with its result."""
        event = await bodies.read_event(request, self._schema)
        asked = preferences.parse(request.headers.getall("Prefer", ()))
        answer = await self._bridge.submit(event, asked.seconds(self._response_timeout))
        response = self._render(request, answer)
        applied = asked.applied(self._response_timeout)
        if applied is not None:
            response.headers["Preference-Applied"] = applied
        return response

    async def read(self, request: web.Request) -> web.Response:
        """GET /event/{id}: the result, as far as it is known now."""
        return self._render(request, await self._bridge.read(_execution_id(request)))

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

    def _render(self, request: web.Request, answer: Answer) -> web.Response:
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
                    headers={hdrs.LOCATION: location, hdrs.RETRY_AFTER: "1", **_NO_STORE},
                )


def _execution_id(request: web.Request) -> str:
    execution_id = request.match_info["id"]
    if _EXECUTION_ID.fullmatch(execution_id) is None:
        raise UnknownExecution("Execution ids look like exec-<uuid>.")
    request[EXECUTION_ID] = execution_id
    return execution_id


def _status(status: int, text: str) -> web.Response:
    return web.Response(status=status, body=orjson.dumps({"status": text}), content_type="application/json")

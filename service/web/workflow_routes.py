"""The routes of one workflow."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aiohttp import web

from service.errors import Refused
from service.web import events
from service.web.context import CONTEXT
from service.web.events import Stream
from service.web.representation import NO_STORE
from service.web.requests import RequestReader
from service.web.responses import Responses

if TYPE_CHECKING:
    from service.web.callers import Callers
    from service.web.progress import HeldProgress
    from service.web.workflow import Workflow


class WorkflowRoutes:
    """The handlers of one workflow's requests. `prefix` is the stage prefix, such as `/dev`, or empty."""

    def __init__(
        self, workflow: Workflow, callers: Callers, held: HeldProgress, *, prefix: str, read_foreign: bool
    ) -> None:
        self._workflow = workflow
        self._requests = RequestReader(workflow, callers, read_foreign=read_foreign)
        self._responses = Responses(workflow, prefix)
        self._held = held

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """Return the routes below this prefix."""
        path = prefix + self._workflow.path
        return [
            web.post(path, self.create),
            web.get(f"{path}/{{id}}", self.read),
            web.delete(f"{path}/{{id}}", self.remove),
            web.post(f"{path}/{{id}}/retry", self.retry),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST: start the workflow and respond with its result."""
        if (reason := self._workflow.not_startable()) is not None:
            raise Refused(reason)
        event_request = await self._requests.start(request)
        started_at = time.perf_counter()
        stream = Stream(self._held, self._workflow.watch_states) if event_request.stream else None
        work = self._workflow.bridge.submit(
            event_request.execution_id,
            event_request.event,
            event_request.preferences.wait,
            shared=event_request.keyed,
            caller=request[CONTEXT].caller,
            trace_header=request[CONTEXT].begin_start(),
            on_start=None if stream is None else stream.open,
            on_progress=None if stream is None else stream.progress,
        )
        preferences = event_request.preferences
        del event_request  # a body is not kept while its request waits
        if stream is not None:
            return await self._responses.stream(request, preferences, stream, work)
        return self._responses.json(request, preferences, await work, time.perf_counter() - started_at)

    async def read(self, request: web.Request) -> web.StreamResponse:
        """GET an execution: the result, as far as it is known now or within the requested wait."""
        event_request = self._requests.follow(request)
        wait = event_request.preferences.wait
        if event_request.stream:
            if event_request.last_event_id == events.END:
                return web.Response(status=204, headers=NO_STORE)  # makes a browser's EventSource stop reconnecting
            stream = Stream(self._held, self._workflow.watch_states, event_request.last_event_id)
            work = self._workflow.bridge.follow(
                event_request.execution_id,
                wait,
                foreign=event_request.foreign,
                caller=request[CONTEXT].caller,
                on_start=stream.open,
                on_progress=stream.progress,
            )
            return await self._responses.stream(request, event_request.preferences, stream, work)
        started_at = time.perf_counter()
        result = await self._workflow.bridge.follow(
            event_request.execution_id, wait, foreign=event_request.foreign, caller=request[CONTEXT].caller
        )
        return self._responses.json(request, event_request.preferences, result, time.perf_counter() - started_at)

    async def retry(self, request: web.Request) -> web.StreamResponse:
        """POST to an execution's `retry`: run it again from where it failed, and respond with its result."""
        event_request = self._requests.retry(request)
        started_at = time.perf_counter()
        stream = None
        if event_request.stream:
            stream = Stream(self._held, self._workflow.watch_states, event_request.last_event_id)
        work = self._workflow.retries.retry(
            event_request.execution_id,
            event_request.preferences.wait,
            caller=request[CONTEXT].caller,
            on_start=None if stream is None else stream.open,
            on_progress=None if stream is None else stream.progress,
        )
        if stream is not None:
            return await self._responses.stream(request, event_request.preferences, stream, work)
        return self._responses.json(request, event_request.preferences, await work, time.perf_counter() - started_at)

    async def remove(self, request: web.Request) -> web.Response:
        """DELETE an execution: stop the execution."""
        await self._workflow.bridge.stop(self._requests.stop(request))
        return web.Response(status=204)

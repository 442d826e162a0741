"""The HTTP interface over real HTTP, with the bridge on a test stage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from service.app import composition
from service.app.settings import DEMO_SCHEMA
from service.bridge.ids import Ids
from service.telemetry.metrics import Metrics
from service.web.callers import Callers
from service.web.connections import Connections
from service.web.preferences import Waits
from service.web.problems import TYPE_PREFIX
from service.web.routes import Routes
from service.web.schema import JsonSchema
from service.web.site import Site
from service.web.workflow import Workflow
from tests.support.ids import ID_SECRET, KEY_SECRET
from tests.support.privacy import assert_nothing_private
from tests.support.stage import Stage, stage

NAMES = {"nome": "Ricardo", "sobrenome": "Marques"}
JSON = {"Content-Type": "application/json"}


class Front:
    """The HTTP interface and a client for it."""

    def __init__(self, made: Stage, client: aiohttp.ClientSession, app: web.Application) -> None:
        self.stage = made
        self.app = app
        self.client = client

    async def post_and_reply(self, output: Any, **options: Any) -> aiohttp.ClientResponse:
        """POST an event and let its execution reply with `output`."""
        request = asyncio.create_task(self.client.post("/event", **({"json": NAMES} | options)))
        self.stage.reply(await self.stage.started(), output)
        return await request

    async def problem(self, method: str, path: str, status: int, slug: str, **options: Any) -> dict[str, Any]:
        """Send a request that must end with this problem; return the problem."""
        async with self.client.request(method, path, **options) as response:
            text = await response.text()
            body: dict[str, Any] = json.loads(text)
            assert_nothing_private([text])
            assert (response.status, body["type"]) == (status, TYPE_PREFIX + slug)
            assert response.content_type == "application/problem+json"
            assert body["status"] == status
            assert body["title"]
            assert body["detail"]
            assert body["instance"] == path
            assert body["request_id"] == response.headers["X-Request-Id"]
            if status in {429, 503}:
                assert int(response.headers["Retry-After"]) > 0
            return body


def routes(made: Stage, **options: Any) -> Routes:
    """Make the routes for the bridge on its stage."""
    ready = options.pop("ready", None)
    key_secret = KEY_SECRET if options.pop("keys", True) else None
    workflow = Workflow(
        name="event",
        path="/event",
        bridge=made.bridge,
        retries=made.retries,
        ids=Ids("event", [ID_SECRET], key_secret),
        schema=JsonSchema.load(DEMO_SCHEMA),
        waits=Waits(options.pop("response_timeout", 10), options.pop("stream_timeout", 10)),
        watch_states=options.pop("watch_states", None),
    )
    return Routes(
        [workflow],
        metrics=Metrics(),
        callers=Callers(options.pop("caller_header", None), ID_SECRET, options.pop("caller_rates", None)),
        ready=lambda: ready,
        draining=lambda: made.admission.draining,
        stage_prefix=options.pop("stage_prefix", ""),
        **options,
    )


_ROUTES = (
    *("ready", "keys", "response_timeout", "stream_timeout", "watch_states", "stage_prefix"),
    *("cors_origins", "read_foreign", "caller_header", "caller_rates"),
)


@asynccontextmanager
async def front(**options: Any) -> AsyncIterator[Front]:
    """Serve the routes; options that they do not have go to the stage."""
    traces = options.pop("traces", None)
    chosen = {name: options.pop(name) for name in _ROUTES if name in options}
    async with stage(**options) as made:
        app = routes(made, **chosen).application(traces)
        async with AsyncExitStack() as stack:
            runner = await composition._runner(stack, app)
            await Site(runner, "127.0.0.1", 0, backlog=128, connections=Connections(1000)).start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
            async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=20)) as client:
                yield Front(made, client, app)

"""A Step Functions endpoint over real HTTP whose responses a test scripts."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import cache
from typing import Any, Self, TypeAlias

from aiohttp import web
from botocore.credentials import ReadOnlyCredentials

from service.stepfunctions.arn import StateMachineArn
from service.stepfunctions.client import StepFunctionsClient
from service.stepfunctions.endpoint import Endpoint

ARN = StateMachineArn.parse("arn:aws:states:us-east-1:000000000000:stateMachine:event-workflow")
Call: TypeAlias = dict[str, Any]
Script: TypeAlias = Callable[[web.Request, Call], Awaitable[web.StreamResponse]]


def ok(**body: Any) -> Script:
    """Respond with `body`."""

    async def script(_request: web.Request, _call: Call) -> web.Response:
        return web.json_response(body, content_type="application/x-amz-json-1.0")

    return script


def error(code: str, status: int = 400) -> Script:
    """Respond with an AWS error."""

    async def script(_request: web.Request, _call: Call) -> web.Response:
        return web.json_response({"__type": code, "message": "scripted"}, status=status)

    return script


def reset() -> Script:
    """Take the request, then break the connection without a response."""

    async def script(request: web.Request, _call: Call) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return script


def gated(gate: asyncio.Event, then: Script) -> Script:
    """Respond only once `gate` is set."""

    async def script(request: web.Request, call: Call) -> web.StreamResponse:
        await gate.wait()
        return await then(request, call)

    return script


STARTED = ok(executionArn="arn:aws:states:us-east-1:000000000000:execution:event-workflow:x", startDate=1.0)


def described(status: str, **more: Any) -> Script:
    """Respond to DescribeExecution with a record of this status."""
    return ok(executionArn=ARN.execution("x"), stateMachineArn=ARN.text, name="x", status=status, startDate=1.0, **more)


class ScriptedStepFunctions:
    """Responds to each call by the next script for its action; the last script repeats."""

    def __init__(self) -> None:
        self.scripts: dict[str, deque[Script]] = defaultdict(deque)
        self.calls: list[tuple[str, Call]] = []
        self._arrived = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self.url = ""
        self.script("DescribeStateMachine", ok(stateMachineArn=ARN.text, type="STANDARD"))  # read at start

    def script(self, action: str, *scripts: Script) -> None:
        self.scripts[action] = deque(scripts)

    def count(self, action: str) -> int:
        return sum(name == action for name, _ in self.calls)

    async def arrived(self, action: str, number: int = 1) -> None:
        """Wait until `action` was called `number` times."""
        async with asyncio.timeout(30), self._arrived:
            await self._arrived.wait_for(lambda: self.count(action) >= number)

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        action = request.headers["X-Amz-Target"].removeprefix("AWSStepFunctions.")
        call = json.loads(await request.read())
        async with self._arrived:
            self.calls.append((action, call))
            self._arrived.notify_all()
        scripts = self.scripts[action]
        script = scripts.popleft() if len(scripts) > 1 else scripts[0]
        return await script(request, call)

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**21)
        app.router.add_post("/", self._respond)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()


@cache
def _default_certificates() -> ssl.SSLContext:
    return ssl.create_default_context()  # takes tens of milliseconds


async def _credentials() -> ReadOnlyCredentials:
    return ReadOnlyCredentials("test", "test", None)


def endpoint_at(url: str, **changes: Any) -> Endpoint:
    """Return the endpoint at `url`, called directly and with credentials that do not change."""
    return replace(
        Endpoint(url, "states", ARN.region, _default_certificates(), None, _credentials),
        **changes,
    )


def step_functions_client(url: str, **options: Any) -> StepFunctionsClient:
    """Return our client for the endpoint at `url`, with short timeouts and pauses between retries."""
    options = {"max_starts": 300, "timeout": 2.0, "attempt_timeout": 1.0, "backoff": 0.01} | options
    return StepFunctionsClient(endpoint_at(url), ARN, **options)

"""The designs that the service is compared with: `python -m tests.bench.designs NAME`, with the service's settings.

Each is the minimum that can answer a request: no deadlines, checks, limits or logs. `bare` is the bare skeleton, which
signs with botocore and sends with aiohttp. `aioboto3` uses that library for the call. `socket-each` opens a WebSocket
for each request, as one Lambda invocation per request would. All run on the service's event loop with its garbage
collector settings, so that designs are compared and not interpreters.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final
from uuid import uuid4

import aioboto3
import aiohttp
import orjson
from aiobotocore.config import AioConfig
from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from websockets.asyncio.client import ClientConnection, connect

from service.app import event_loop
from service.appsync import ApiKey
from service.appsync.connection import subprotocols
from tests.bench.stand_in import ARN, NAMESPACE, REGION

Start = Callable[[str, str], Awaitable[None]]
MAX_CONNECTIONS: Final = 256
"""Connections to Step Functions."""


async def signed_start(stack: AsyncExitStack) -> Start:
    """Return a StartExecution that botocore signs and aiohttp sends."""
    url = os.environ["AWS_ENDPOINT_URL_SFN"]
    credentials = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    signer = SigV4Auth(credentials, "states", REGION)
    http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS)))
    target = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AWSStepFunctions.StartExecution"}

    async def start(name: str, input_: str) -> None:
        body = orjson.dumps({"stateMachineArn": ARN, "name": name, "input": input_})
        request = AWSRequest("POST", url, target, body)
        signer.add_auth(request)
        async with http.post(url, data=body, headers=dict(request.headers)) as response:
            orjson.loads(await response.read())["executionArn"]

    return start


async def aioboto3_start(stack: AsyncExitStack) -> Start:
    """Return a StartExecution by aioboto3."""
    config = AioConfig(max_pool_connections=MAX_CONNECTIONS)
    client: Any = await stack.enter_async_context(
        aioboto3.Session().client("stepfunctions", region_name=REGION, config=config)
    )

    async def start(name: str, input_: str) -> None:
        (await client.start_execution(stateMachineArn=ARN, name=name, input=input_))["executionArn"]

    return start


async def subscribe(stack: AsyncExitStack, channel: str) -> ClientConnection:
    """Open a WebSocket and wait until it is subscribed to `channel`."""
    authorization = await ApiKey(os.environ["APPSYNC_HTTP_URL"], os.environ["APPSYNC_API_KEY"]).connect()
    socket = await stack.enter_async_context(
        connect(
            os.environ["APPSYNC_REALTIME_URL"],
            subprotocols=subprotocols(authorization),
            compression=None,
            proxy=None,
            ping_interval=None,
            max_queue=1024,
        )
    )
    for message in (
        {"type": "connection_init"},
        {"type": "subscribe", "id": str(uuid4()), "channel": channel, "authorization": authorization},
    ):
        await socket.send(orjson.dumps(message), text=True)
        await socket.recv()
    return socket


def envelope(execution_id: str, event: str, channel: str) -> str:
    """Return the execution's input."""
    return orjson.dumps({"id": execution_id, "event": event, "reply": {"channel": channel}}).decode()


def respond(execution_id: str, reply: dict[str, Any]) -> web.Response:
    """Return the response to the caller."""
    body = orjson.dumps({"id": execution_id, **reply["output"]})
    return web.Response(body=body, content_type="application/json")


async def one_subscription(stack: AsyncExitStack, start: Start) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return a handler with one wildcard subscription and a dict of futures for all requests."""
    instance = uuid4().hex
    socket = await subscribe(stack, f"/{NAMESPACE}/{instance}/*")
    futures: dict[str, asyncio.Future[dict[str, Any]]] = {}
    loop = asyncio.get_running_loop()

    async def receive() -> None:
        while True:
            reply = orjson.loads(orjson.loads(await socket.recv(decode=False))["event"])
            futures[reply["id"]].set_result(reply)

    receiving = asyncio.create_task(receive())
    stack.callback(receiving.cancel)

    async def handle(request: web.Request) -> web.Response:
        event = await request.text()
        orjson.loads(event)
        execution_id = f"exec-{uuid4()}"
        future = futures[execution_id] = loop.create_future()
        try:
            await start(execution_id, envelope(execution_id, event, f"{NAMESPACE}/{instance}/{execution_id}"))
            return respond(execution_id, await future)
        finally:
            del futures[execution_id]

    return handle


def socket_each(start: Start) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return a handler that opens a WebSocket for each request."""

    async def handle(request: web.Request) -> web.Response:
        event = await request.text()
        orjson.loads(event)
        execution_id = f"exec-{uuid4()}"
        channel = f"{NAMESPACE}/{execution_id}/reply"
        async with AsyncExitStack() as stack:
            socket = await subscribe(stack, f"/{channel}")
            await start(execution_id, envelope(execution_id, event, channel))
            reply = orjson.loads(orjson.loads(await socket.recv(decode=False))["event"])
        return respond(execution_id, reply)

    return handle


async def main(name: str) -> None:
    """Print the port and serve until killed."""
    async with AsyncExitStack() as stack:
        match name:
            case "bare":
                handle = await one_subscription(stack, await signed_start(stack))
            case "aioboto3":
                handle = await one_subscription(stack, await aioboto3_start(stack))
            case "socket-each":
                handle = socket_each(await aioboto3_start(stack))
            case _:
                raise SystemExit(f"unknown design: {name}")
        app = web.Application()
        app.router.add_post("/event", handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        sys.stderr.write(orjson.dumps({"event": "started", "port": runner.addresses[0][1]}).decode() + "\n")
        sys.stderr.flush()
        event_loop.freeze_heap()
        await asyncio.Event().wait()


if __name__ == "__main__":
    event_loop.run(main(sys.argv[1]))

"""The leanest design that we know of in Python, as a limit to compare with: `python -m tests.bench.leanest`.

A server and a client on asyncio's protocols with httptools' parsers, the service's own signer, one WebSocket, and a
dict of futures. It has no deadline, check, limit or log, and fails at the first surprise.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final, cast
from urllib.parse import urlsplit
from uuid import uuid4

import httptools
import orjson
from botocore.credentials import ReadOnlyCredentials

from service.app import event_loop
from service.stepfunctions.sigv4 import Signer
from tests.bench.designs import envelope, subscribe
from tests.bench.stand_in import ARN, NAMESPACE, REGION

URL: Final = urlsplit(os.environ.get("AWS_ENDPOINT_URL_SFN", "http://127.0.0.1"))
TARGET: Final = "AWSStepFunctions.StartExecution"
HEAD: Final = "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{headers}\r\n"
RESPONSE: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


class Call(asyncio.Protocol):
    """A connection to Step Functions that makes one call at a time, and returns to `pool` after each."""

    def __init__(self, pool: list[Call]) -> None:
        self._pool = pool
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self.transport: asyncio.Transport
        self.response: asyncio.Future[bytes]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's transport is not a subclass

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        body, self._body = self._body, b""
        self._pool.append(self)
        self.response.set_result(body)


def signed_start() -> Callable[[str, str], Awaitable[None]]:
    """Return a StartExecution over connections that are kept."""
    loop = asyncio.get_running_loop()
    credentials = ReadOnlyCredentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], None)
    signer = Signer(f"{URL.geturl()}/", "states", REGION)
    pool: list[Call] = []
    tls = ssl.create_default_context() if URL.scheme == "https" else None

    async def start(name: str, input_: str) -> None:
        body = orjson.dumps({"stateMachineArn": ARN, "name": name, "input": input_})
        signed = signer.headers(TARGET, body, credentials, time.time())
        headers = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
        if pool:
            call = pool.pop()
        else:
            _, call = await loop.create_connection(lambda: Call(pool), URL.hostname or "", URL.port or 80, ssl=tls)
        call.response = loop.create_future()
        call.transport.write(HEAD.format(host=URL.netloc, length=len(body), headers=headers).encode() + body)
        orjson.loads(await call.response)["executionArn"]

    return start


class Caller(asyncio.Protocol):
    """A caller's connection; `respond` returns the body of the response to a request's body."""

    def __init__(self, respond: Callable[[str], Awaitable[bytes]]) -> None:
        self._respond = respond
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""
        self._task: asyncio.Task[None]
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        event, self._body = self._body.decode(), b""
        self._task = asyncio.create_task(self._send(event))

    async def _send(self, event: str) -> None:
        body = await self._respond(event)
        self._transport.write(RESPONSE % (len(body), body))


async def main() -> None:
    """Print the port and serve until killed."""
    loop = asyncio.get_running_loop()
    start = signed_start()
    instance = uuid4().hex
    futures: dict[str, asyncio.Future[dict[str, object]]] = {}

    async def respond(event: str) -> bytes:
        orjson.loads(event)
        execution_id = f"exec-{uuid4()}"
        future = futures[execution_id] = loop.create_future()
        try:
            await start(execution_id, envelope(execution_id, event, f"{NAMESPACE}/{instance}/{execution_id}"))
            return orjson.dumps({"id": execution_id, **(await future)})
        finally:
            del futures[execution_id]

    async with AsyncExitStack() as stack:
        socket = await subscribe(stack, f"/{NAMESPACE}/{instance}/*")
        server = await loop.create_server(lambda: Caller(respond), "127.0.0.1", 0, backlog=1024)
        port = server.sockets[0].getsockname()[1]
        sys.stderr.write(orjson.dumps({"event": "started", "port": port}).decode() + "\n")
        sys.stderr.flush()
        event_loop.freeze_heap()
        while True:
            reply = orjson.loads(orjson.loads(await socket.recv(decode=False))["event"])
            futures[reply["id"]].set_result(reply["output"])


if __name__ == "__main__":
    event_loop.run(main())

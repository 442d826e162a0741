"""The stand-in for AWS: accepts StartExecution, and pushes the reply when the workflow's time is over.

It does as little as possible, so that the core that it shares with the load generator is never the bottleneck.
"""

from __future__ import annotations

import asyncio
import logging
import re
from base64 import b64encode
from pathlib import Path
from typing import Any, Final, cast

import orjson
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from tests.support.tls import server_context

REGION: Final = "us-east-1"
ARN: Final = f"arn:aws:states:{REGION}:000000000000:stateMachine:event-workflow"
NAMESPACE: Final = "AsyncEvents"
OUTPUT: Final = {"nome completo": "Ricardo Marques"}
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TARGET: Final = re.compile(rb"\r\nx-amz-target: *AWSStepFunctions\.(\w+)", re.IGNORECASE)
_SILENT: Final = logging.getLogger("bench.websocket")
_SILENT.setLevel(logging.CRITICAL)


class StandIn:
    """Step Functions and AppSync Events, each on its own port; with a `certificate` and its key, over TLS.

    `delay` is how many seconds new workflows take.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self._certificate = certificate
        self.delay = 0.0
        self.starts = 0
        self.durations: dict[str, float] = {}
        """Seconds from the arrival of each start to the push of its reply; the load generator removes what it reads."""
        self.errors: list[str] = []
        """Unexpected input, which invalidates the measurement."""
        self.channels: dict[str, tuple[Realtime, str]] = {}
        self.sfn_url = ""
        self.realtime_url = ""
        self._servers: list[asyncio.Server] = []

    async def open(self) -> None:
        """Listen on 127.0.0.1."""
        loop = asyncio.get_running_loop()
        tls = server_context(self._certificate) if self._certificate is not None else None
        for make in (lambda: StepFunctions(self), lambda: Realtime(self)):
            self._servers.append(await loop.create_server(make, "127.0.0.1", 0, backlog=1024, ssl=tls))
        sfn, realtime = (server.sockets[0].getsockname()[1] for server in self._servers)
        secure = "s" if tls is not None else ""
        self.sfn_url = f"http{secure}://127.0.0.1:{sfn}"
        self.realtime_url = f"ws{secure}://127.0.0.1:{realtime}/event/realtime"

    def close(self) -> None:
        """Stop listening."""
        for server in self._servers:
            server.close()

    def environment(self) -> dict[str, str]:
        """Return the settings that make a design use this stand-in."""
        trusted = {}
        if self._certificate is not None:
            # The first is for the SDK and whoever follows it, the second for the other designs.
            trusted = dict.fromkeys(("AWS_CA_BUNDLE", "SSL_CERT_FILE"), str(self._certificate))
        return trusted | {
            "STATE_MACHINE_ARN": ARN,
            "APPSYNC_HTTP_URL": self.realtime_url.replace("ws", "http", 1).removesuffix("/realtime"),
            "APPSYNC_REALTIME_URL": self.realtime_url,
            "APPSYNC_NAMESPACE": NAMESPACE,
            "APPSYNC_API_KEY": "da2-bench",
            "AWS_ENDPOINT_URL_SFN": self.sfn_url,
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": b64encode(b"no secret at all").decode(),
        }

    def start(self, name: str, input_: str) -> None:
        """Accept a start and schedule its reply."""
        loop = asyncio.get_running_loop()
        reply: dict[str, str] | None = orjson.loads(input_).get("reply")
        self.starts += 1
        if reply is not None:
            channel = reply["channel"]
            output: dict[str, Any] = {"output": OUTPUT}
        else:  # event mode: the relay publishes the end on the channel of the id's shard
            channel = f"{NAMESPACE}/ended/{name[5:8]}/{name}"
            output = {"outputText": orjson.dumps(OUTPUT).decode()}
        loop.call_later(self.delay, self._push, name, channel, output, loop.time())

    def _push(self, name: str, channel: str, output: dict[str, Any], began: float) -> None:
        subscribed = self.channels.get(channel) or self.channels.get(channel.rpartition("/")[0] + "/*")
        if subscribed is None:
            return  # the design of an earlier measurement has ended
        realtime, subscription = subscribed
        event = orjson.dumps({"id": name, "status": "SUCCEEDED", **output}).decode()
        self.durations[name] = asyncio.get_running_loop().time() - began
        realtime.send({"id": subscription, "type": "data", "event": event})


class StepFunctions(asyncio.Protocol):
    """One connection for calls to Step Functions."""

    def __init__(self, owner: StandIn) -> None:
        self._owner = owner
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transport is not a subclass

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (head := self._buffer.find(b"\r\n\r\n")) >= 0:
            found = _LENGTH.search(self._buffer, 0, head + 2)
            end = head + 4 + (int(found[1]) if found else 0)
            if len(self._buffer) < end:
                return
            self._handle(self._buffer[:head], self._buffer[head + 4 : end])
            self._buffer = self._buffer[end:]

    def _handle(self, head: bytes, body: bytes) -> None:
        operation = _TARGET.search(head)
        if operation is None or b"AWS4-HMAC-SHA256" not in head:
            self._owner.errors.append(f"not a signed call: {head[:40]!r}")
            self._respond(b"400 Bad Request", {"__type": "AccessDeniedException"})
        elif operation[1] == b"StartExecution":
            call = orjson.loads(body)
            self._owner.start(call["name"], call["input"])
            arn = ARN.replace("stateMachine", "execution") + ":" + call["name"]
            self._respond(b"200 OK", {"executionArn": arn, "startDate": 1.0})
        else:
            # The service's occasional reads: no execution has ended without a push.
            self._respond(b"200 OK", {"type": "STANDARD", "status": "RUNNING", "executions": [], "events": []})

    def _respond(self, status: bytes, members: dict[str, Any]) -> None:
        body = orjson.dumps(members)
        self._transport.write(
            b"HTTP/1.1 %b\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n%b"
            % (status, len(body), body)
        )


class Realtime(asyncio.Protocol):
    """One WebSocket of AppSync Events."""

    def __init__(self, owner: StandIn) -> None:
        self._owner = owner
        self._protocol = ServerProtocol(subprotocols=["aws-appsync-event-ws"], logger=_SILENT)  # type: ignore[list-item]  # a NewType of str
        self._channels: list[str] = []
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transport is not a subclass

    def connection_lost(self, exc: Exception | None) -> None:
        for channel in self._channels:
            self._owner.channels.pop(channel, None)

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._protocol.send_response(self._protocol.accept(event))
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._handle(orjson.loads(event.data))
        for chunk in self._protocol.data_to_send():
            if chunk:
                self._transport.write(chunk)
            else:
                self._transport.close()

    def _handle(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "connection_init":
                self.send({"type": "connection_ack", "connectionTimeoutMs": 3_600_000})
            case "subscribe":
                channel = message["channel"].removeprefix("/")
                self._channels.append(channel)
                self._owner.channels[channel] = (self, message["id"])
                self.send({"type": "subscribe_success", "id": message["id"]})
            case other:
                self._owner.errors.append(f"unexpected message on the WebSocket: {other}")

    def send(self, message: dict[str, Any]) -> None:
        # Frames of a server are not masked and do not depend on the state of the protocol.
        self.write(Frame(Opcode.TEXT, orjson.dumps(message)).serialize(mask=False))

    def write(self, frames: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(frames)

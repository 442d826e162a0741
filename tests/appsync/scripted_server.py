"""A real WebSocket server for the protocol that can be scripted to misbehave at each step."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64decode
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from websockets.http11 import Request, Response

    Message = dict[str, Any]
    Step = Callable[["Peer", Message], Awaitable[None]]


class Notifier:
    """Lets a test wait for any condition, which is checked again on each notification."""

    def __init__(self) -> None:
        self._notified = asyncio.Event()

    def notify(self) -> None:
        self._notified.set()
        self._notified = asyncio.Event()

    async def until(self, condition: Callable[[], object], timeout: float = 10.0) -> None:
        async with asyncio.timeout(timeout):
            while not condition():
                await self._notified.wait()


class Peer:
    """The server's side of one connection."""

    def __init__(self, websocket: ServerConnection) -> None:
        self.websocket = websocket
        self.subscriptions: dict[str, str] = {}
        self.received: list[Message] = []
        self.closed = False

    @property
    def authorization(self) -> dict[str, str]:
        """The authorisation object of the handshake."""
        assert self.websocket.request is not None
        offered = self.websocket.request.headers["Sec-WebSocket-Protocol"].replace(" ", "").split(",")
        (header,) = (token.removeprefix("header-") for token in offered if token.startswith("header-"))
        return dict(json.loads(urlsafe_b64decode(header + "=" * (-len(header) % 4))))

    async def send(self, message: Message | str | bytes) -> None:
        await self.websocket.send(json.dumps(message) if isinstance(message, dict) else message)

    async def data(self, channel: str, event: object) -> None:
        """Send one data frame for each subscription to exactly this channel."""
        for id_, subscribed in list(self.subscriptions.items()):
            if subscribed == channel:
                await self.send({"type": "data", "id": id_, "event": event})

    def messages(self, kind: str) -> list[Message]:
        return [message for message in self.received if message["type"] == kind]


async def acknowledge(peer: Peer, message: Message) -> None:
    await peer.send({"type": "connection_ack", "connectionTimeoutMs": 300_000})


async def confirm(peer: Peer, message: Message) -> None:
    peer.subscriptions[message["id"]] = message["channel"]
    await peer.send({"type": "subscribe_success", "id": message["id"]})


async def release(peer: Peer, message: Message) -> None:
    peer.subscriptions.pop(message["id"], None)
    await peer.send({"type": "unsubscribe_success", "id": message["id"]})


async def ignore(peer: Peer, message: Message) -> None:
    pass


async def abort(peer: Peer, message: Message) -> None:
    peer.websocket.transport.abort()


def close(code: int) -> Step:
    async def step(peer: Peer, message: Message) -> None:
        await peer.websocket.close(code)

    return step


def respond(response: Message) -> Step:
    """Respond with this message and the id of the request."""

    async def step(peer: Peer, message: Message) -> None:
        await peer.send({"id": message["id"], **response} if "id" in message else response)

    return step


def acknowledge_for(timeout_ms: int) -> Step:
    return respond({"type": "connection_ack", "connectionTimeoutMs": timeout_ms})


def refuse(kind: str, error_type: str, **more: object) -> Step:
    return respond({"type": kind, "errors": [{"errorType": error_type, **more}]})


def first(*steps: Step, then: Step) -> Step:
    """Take each of these steps once, over all connections, and then always the last."""
    remaining = list(steps)

    async def step(peer: Peer, message: Message) -> None:
        await (remaining.pop(0) if remaining else then)(peer, message)

    return step


class ScriptedServer:
    """`async with ScriptedServer() as server: server.on["subscribe"] = ignore`."""

    def __init__(self) -> None:
        self.on: dict[str, Step] = {
            "connect": ignore,
            "connection_init": acknowledge,
            "subscribe": confirm,
            "unsubscribe": release,
        }
        self.handshake_statuses: list[int] = []
        self.notifier = Notifier()
        self.peers: list[Peer] = []
        self.ssl_context: ssl.SSLContext | None = None
        self._server: Server | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"{'wss' if self.ssl_context else 'ws'}://127.0.0.1:{self._port}/event/realtime"

    @property
    def peer(self) -> Peer:
        """The latest connection."""
        return self.peers[-1]

    async def start(self) -> None:
        """Listen on a free port; after a stop, on the same one again."""
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            self._port,
            process_request=self._process_request,
            subprotocols=[Subprotocol("aws-appsync-event-ws")],
            compression=None,
            ping_interval=None,
            close_timeout=1,
            ssl=self.ssl_context,
        )
        (self._port,) = {socket.getsockname()[1] for socket in self._server.sockets}

    async def stop(self) -> None:
        """Stop listening and abort every connection."""
        assert self._server is not None
        for peer in self.peers:
            peer.websocket.transport.abort()
        self._server.close()
        await self._server.wait_closed()

    async def until(self, condition: Callable[[], object]) -> None:
        await self.notifier.until(condition)

    async def subscribed(self, connections: int = 1) -> Peer:
        """Wait for this many connections in total, and for a subscription on the last one."""
        await self.until(lambda: len(self.peers) >= connections and self.peer.subscriptions)
        return self.peer

    async def wait_for(self, kind: str, times: int = 1) -> list[Message]:
        """Wait for this many messages of a kind, over all connections."""
        await self.until(lambda: len(self.all(kind)) >= times)
        return self.all(kind)

    def all(self, kind: str) -> list[Message]:
        return [message for peer in self.peers for message in peer.messages(kind)]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _process_request(self, websocket: ServerConnection, request: Request) -> Response | None:
        if not self.handshake_statuses:
            return None
        response = websocket.respond(HTTPStatus(self.handshake_statuses.pop(0)), "no")
        response.headers["Location"] = self.url  # a redirect must not be followed: it would receive the credentials
        return response

    async def _serve(self, websocket: ServerConnection) -> None:
        peer = Peer(websocket)
        self.peers.append(peer)
        self.notifier.notify()
        try:
            await self.on["connect"](peer, {})
            async for text in websocket:
                message = json.loads(text)
                peer.received.append(message)
                self.notifier.notify()
                await self.on[message["type"]](peer, message)
                self.notifier.notify()
        except ConnectionClosed:
            pass
        finally:
            peer.closed = True
            self.notifier.notify()

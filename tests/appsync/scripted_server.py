"""A real WebSocket server that speaks the protocol, and can be told at each step to misbehave."""

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


class Bell:
    """Lets a test wait for any condition, which is looked at again whenever the bell rings."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()
        self._rung = asyncio.Event()

    async def until(self, condition: Callable[[], object], timeout: float = 10.0) -> None:
        async with asyncio.timeout(timeout):
            while not condition():
                await self._rung.wait()


class Peer:
    """The server's side of one connection."""

    def __init__(self, websocket: ServerConnection) -> None:
        self.websocket = websocket
        self.subscriptions: dict[str, str] = {}
        self.received: list[Message] = []
        self.closed = False

    @property
    def authorization(self) -> dict[str, str]:
        """What the handshake showed."""
        assert self.websocket.request is not None
        offered = self.websocket.request.headers["Sec-WebSocket-Protocol"].replace(" ", "").split(",")
        (header,) = (token.removeprefix("header-") for token in offered if token.startswith("header-"))
        return dict(json.loads(urlsafe_b64decode(header + "=" * (-len(header) % 4))))

    async def send(self, message: Message | str | bytes) -> None:
        await self.websocket.send(json.dumps(message) if isinstance(message, dict) else message)

    async def data(self, channel: str, event: object) -> None:
        """Send one data frame for each live subscription to exactly this channel."""
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


def say(answer: Message) -> Step:
    """Answer with this, and the id of what was asked."""

    async def step(peer: Peer, message: Message) -> None:
        await peer.send({"id": message["id"], **answer} if "id" in message else answer)

    return step


def acknowledge_for(timeout_ms: int) -> Step:
    return say({"type": "connection_ack", "connectionTimeoutMs": timeout_ms})


def refuse(kind: str, error_type: str, **more: object) -> Step:
    return say({"type": kind, "errors": [{"errorType": error_type, **more}]})


def first(*steps: Step, then: Step) -> Step:
    """Do these once each, over all connections, and then always the last."""
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
        self.bell = Bell()
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
        """Listen: on any free port at first, on the same one when it comes back."""
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
        """Go away: every connection breaks without a word."""
        assert self._server is not None
        for peer in self.peers:
            peer.websocket.transport.abort()
        self._server.close()
        await self._server.wait_closed()

    async def until(self, condition: Callable[[], object]) -> None:
        await self.bell.until(condition)

    async def subscribed(self, connections: int = 1) -> Peer:
        """Wait for that many connections in all, and for a subscription on the last of them."""
        await self.until(lambda: len(self.peers) >= connections and self.peer.subscriptions)
        return self.peer

    async def asked(self, kind: str, times: int = 1) -> list[Message]:
        """Wait for so many messages of a kind, over all connections."""
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
        response.headers["Location"] = self.url  # a redirect must not be followed: the credentials would go along
        return response

    async def _serve(self, websocket: ServerConnection) -> None:
        peer = Peer(websocket)
        self.peers.append(peer)
        self.bell.ring()
        try:
            await self.on["connect"](peer, {})
            async for text in websocket:
                message = json.loads(text)
                peer.received.append(message)
                self.bell.ring()
                await self.on[message["type"]](peer, message)
                self.bell.ring()
        except ConnectionClosed:
            pass
        finally:
            peer.closed = True
            self.bell.ring()

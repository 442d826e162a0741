"""AppSync Events over WebSockets.

Source: AWS AppSync Events Developer Guide, "Understanding the Event API WebSocket protocol" and "Publish events via
WebSocket"; error texts as public client test suites observed them.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
from collections import deque
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

from service.local.appsync_events import AppSyncEvents, EventsError, TooManyEventsError
from service.local.json_text import Json, dumps, loads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.local.view import Journal

SUBPROTOCOL = "aws-appsync-event-ws"
SUBSCRIPTION_LIMIT = 200  # per connection
_MESSAGE_LIMIT = 2 * 1024 * 1024  # bytes; five events of the largest size and their quoting
_CLOSE_TIMEOUT = 0.3  # seconds that a client has to answer the close
_ABNORMAL = 1006  # RFC 6455: the connection ended without a close frame
_ID = re.compile(r"[a-zA-Z0-9\-_+]{1,128}")


class Realtime:
    """Accepts WebSockets at `/event/realtime`."""

    def __init__(self, events: AppSyncEvents, journal: Journal) -> None:
        self._events = events
        self.journal = journal
        self._accepted = 0
        self.keep_alive = 60.0
        """Seconds between keep-alives, for connections made from now on."""
        self.connection_timeout_ms = 300_000
        """What the acknowledgement promises, for connections made from now on."""
        self.outbox_limit = 8 * 1024 * 1024
        """Characters that may wait for one slow client before it is cut off, for connections made from now on."""
        self.connections: set[Connection] = set()

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one connection until it closes; a refused one is told why over the open WebSocket first."""
        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,), timeout=_CLOSE_TIMEOUT, max_msg_size=_MESSAGE_LIMIT, compress=False
        )
        await socket.prepare(request)
        try:
            self._authorise(request)
        except EventsError as error:
            errors = [error.item | {"errorCode": error.status}]
            await socket.send_str(dumps({"type": "connection_error", "errors": errors}))
            await socket.close()
            return socket
        self._accepted += 1
        connection = Connection(self._accepted, socket, request.transport, self._events, self)
        self.connections.add(connection)
        self.journal.opened(connection.number)
        writer = asyncio.create_task(connection.write(), name="AppSync Events writer")
        try:
            async for message in socket:
                connection.receive(message.data if message.type is WSMsgType.TEXT else None)
        finally:
            self.connections.discard(connection)
            connection.end()
            writer.cancel()
            self.journal.closed(connection.number, socket.close_code)
            await asyncio.gather(writer, return_exceptions=True)
        return socket

    async def drop(self, code: int) -> None:
        """Close every connection with this code; 1006 cuts them without a close frame."""
        dropped, self.connections = self.connections, set()
        await asyncio.gather(*(connection.close(code) for connection in dropped))

    def _authorise(self, request: web.Request) -> None:
        offered = [token.strip() for token in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        if SUBPROTOCOL not in offered:
            raise EventsError("NoProtocolError", f"the subprotocol {SUBPROTOCOL} is missing")
        tokens = [token.removeprefix("header-") for token in offered if token.startswith("header-")]
        credentials = _decode(tokens[0]) if tokens else {name.lower(): value for name, value in request.headers.items()}
        names = {name.lower() for name in credentials}
        if "host" not in names:
            raise EventsError("BadRequestException", "Missing host header")
        if not names & {"x-api-key", "authorization"}:
            raise EventsError("BadRequestException", "Required headers are missing")
        self._events.authorise(credentials)


class Connection:
    """One client: its subscriptions and the frames that wait for it."""

    def __init__(
        self,
        number: int,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        events: AppSyncEvents,
        options: Realtime,
    ) -> None:
        self.number = number
        self._socket = socket
        self._transport = transport
        self._events = events
        self._journal = options.journal
        self._keep_alive = options.keep_alive
        self._timeout_ms = options.connection_timeout_ms
        self._outbox_limit = options.outbox_limit
        self.subscriptions: dict[str, str] = {}
        """Subscription id to path."""
        self._outbox: deque[str] = deque()
        self._waiting = 0
        self._filled = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False

    def receive(self, text: str | None) -> None:
        """Act on one frame; None stands for a binary one."""
        message = _object(text)
        self._journal.received(self.number, message)
        match message:
            case {"type": "connection_init"}:
                self._send({"type": "connection_ack", "connectionTimeoutMs": self._timeout_ms})
            case {"type": "subscribe" | "unsubscribe" | "publish" as kind, "id": str(id_)} if _ID.fullmatch(id_):
                act = {"subscribe": self._subscribe, "unsubscribe": self._unsubscribe, "publish": self._publish}[kind]
                try:
                    act(id_, message)
                except EventsError as error:
                    self._send({"type": f"{kind}_error", "id": id_, "errors": [error.item]})
            case _:
                refusal = EventsError("UnsupportedOperation", "Operation not supported through the realtime channel")
                self._send({"type": "error", "errors": [refusal.item]})
        if self._timer is None and not self._ended:
            self._schedule_keep_alive()

    async def write(self) -> None:
        """Send what waits, as fast as the client takes it, until cancelled or the connection is gone."""
        with contextlib.suppress(ConnectionError):
            while True:
                await self._filled.wait()
                while self._outbox:
                    text = self._outbox.popleft()
                    self._journal.sent(self.number, text)
                    await self._socket.send_str(text)
                    self._waiting -= len(text)
                self._filled.clear()

    async def close(self, code: int) -> None:
        """Close with this code; see Realtime.drop."""
        self.end()
        if code == _ABNORMAL:
            self._abort()
        else:
            try:
                async with asyncio.timeout(2 * _CLOSE_TIMEOUT):
                    await self._socket.close(code=code)
            except (ConnectionError, TimeoutError):
                self._abort()

    def end(self) -> None:
        """Release everything; nothing is delivered afterwards."""
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        for id_, path in self.subscriptions.items():
            self._events.unsubscribe(path, (self, id_))
        self.subscriptions.clear()

    def _subscribe(self, id_: str, message: dict[str, Json]) -> None:
        self._events.authorise(_authorisation(message))
        if id_ in self.subscriptions:
            raise EventsError("DuplicatedOperationError", f"Operation {id_} exists already")
        if len(self.subscriptions) >= SUBSCRIPTION_LIMIT:
            raise EventsError(
                "MaxSubscriptionsReachedError", f"Max number of {SUBSCRIPTION_LIMIT} subscriptions reached"
            )

        def deliver(event: str) -> None:
            self._send({"type": "data", "id": id_, "event": event})

        self.subscriptions[id_] = self._events.subscribe(message.get("channel"), (self, id_), deliver)
        self._send({"type": "subscribe_success", "id": id_})

    def _unsubscribe(self, id_: str, _: dict[str, Json]) -> None:
        if id_ not in self.subscriptions:
            raise EventsError("UnknownOperationError", f"Unknown operation id {id_}")
        self._events.unsubscribe(self.subscriptions.pop(id_), (self, id_))
        self._send({"type": "unsubscribe_success", "id": id_})

    def _publish(self, id_: str, message: dict[str, Json]) -> None:
        self._events.authorise(_authorisation(message))
        try:
            publication = self._events.accept(message.get("channel"), message.get("events"))
        except TooManyEventsError as error:
            # The WebSocket has its own name and spelling for this one.
            raise EventsError("InvalidInputError", str(error.message).replace("Input", "input")) from error
        self._send({"type": "publish_success", "id": id_} | publication.answer)
        self._events.broadcast(publication)

    def _send(self, frame: dict[str, Json]) -> None:
        """Queue a frame; a client that lets too many wait is cut off, so that it delays and costs nobody."""
        if self._ended:
            return
        text = dumps(frame)
        self._waiting += len(text)
        if self._waiting > self._outbox_limit:
            self.end()
            self._abort()
            return
        self._outbox.append(text)
        self._filled.set()

    def _schedule_keep_alive(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._keep_alive, self._send_keep_alive)

    def _send_keep_alive(self) -> None:
        self._send({"type": "ka"})
        if not self._ended:
            self._schedule_keep_alive()

    def _abort(self) -> None:
        self._outbox.clear()
        if self._transport is not None:
            self._transport.abort()


def _authorisation(message: dict[str, Json]) -> Mapping[str, Json]:
    value = message.get("authorization")
    return value if isinstance(value, dict) else {}


def _object(text: str | bytes | None) -> dict[str, Json]:
    """Read a JSON object; anything else is as good as an empty one."""
    try:
        value = None if text is None else loads(text)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {}


def _decode(token: str) -> dict[str, Json]:
    """Read the authorisation subprotocol: base64url of a JSON object, padded or not."""
    bare = token.rstrip("=")
    try:
        return _object(base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4)))
    except ValueError:
        return {}

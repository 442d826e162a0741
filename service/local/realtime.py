"""AppSync Events over WebSockets.

Source: AWS AppSync Events Developer Guide, "Understanding the Event API WebSocket protocol" and "Publish events via
WebSocket"; error texts as observed by public client test suites.
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
MAX_SUBSCRIPTIONS = 200  # per connection
_MAX_MESSAGE_BYTES = 2 * 1024 * 1024  # five events of the largest size, with their escapes
_CLOSE_TIMEOUT_S = 0.3  # for the client to answer a close frame
_ABNORMAL_CLOSURE = 1006  # RFC 6455: the connection ended without a close frame
_ID = re.compile(r"[a-zA-Z0-9\-_+]{1,128}")


class Realtime:
    """The WebSocket endpoint at `/event/realtime`."""

    def __init__(self, events: AppSyncEvents, journal: Journal) -> None:
        self._events = events
        self.journal = journal
        self._accepted_count = 0
        self.keep_alive_s = 60.0
        """Seconds between keep-alives on new connections."""
        self.connection_timeout_ms = 300_000
        """The timeout in the acknowledgement of new connections."""
        self.max_outbox_chars = 8 * 1024 * 1024
        """Characters that may be queued for a slow client before it is dropped; applies to new connections."""
        self.connections: set[RealtimeConnection] = set()

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one connection until it closes; one that is not authorised gets the error as a frame first."""
        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,), timeout=_CLOSE_TIMEOUT_S, max_msg_size=_MAX_MESSAGE_BYTES, compress=False
        )
        await socket.prepare(request)
        try:
            self._authorize(request)
        except EventsError as error:
            errors = [error.entry | {"errorCode": error.status}]
            await socket.send_str(dumps({"type": "connection_error", "errors": errors}))
            await socket.close()
            return socket
        self._accepted_count += 1
        connection = RealtimeConnection(self._accepted_count, socket, request.transport, self._events, self)
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
        """Close every connection with this code; 1006 drops them without a close frame."""
        dropped, self.connections = self.connections, set()
        await asyncio.gather(*(connection.close(code) for connection in dropped))

    def _authorize(self, request: web.Request) -> None:
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
        self._events.authorize(credentials, "connect")


class RealtimeConnection:
    """One client's WebSocket: its subscriptions and its queued frames."""

    def __init__(
        self,
        number: int,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        events: AppSyncEvents,
        realtime: Realtime,
    ) -> None:
        self.number = number
        self._socket = socket
        self._transport = transport
        self._events = events
        self._journal = realtime.journal
        self._keep_alive_s = realtime.keep_alive_s
        self._timeout_ms = realtime.connection_timeout_ms
        self._max_outbox_chars = realtime.max_outbox_chars
        self.subscriptions: dict[str, str] = {}
        """Paths by subscription id."""
        self._outbox: deque[str] = deque()
        self._queued_chars = 0
        self._has_frames = asyncio.Event()
        self._keep_alive_timer: asyncio.TimerHandle | None = None
        self._closed = False

    def receive(self, text: str | None) -> None:
        """Handle one frame; None stands for a binary frame."""
        message = _parse_object(text)
        self._journal.received(self.number, message)
        match message:
            case {"type": "connection_init"}:
                self._send({"type": "connection_ack", "connectionTimeoutMs": self._timeout_ms})
            case {"type": "subscribe" | "unsubscribe" | "publish" as kind, "id": str(id_)} if _ID.fullmatch(id_):
                handlers = {"subscribe": self._subscribe, "unsubscribe": self._unsubscribe, "publish": self._publish}
                try:
                    handlers[kind](id_, message)
                except EventsError as error:
                    self._send({"type": f"{kind}_error", "id": id_, "errors": [error.entry]})
            case _:
                unsupported = EventsError(
                    "UnsupportedOperation", "Operation not supported through the realtime channel"
                )
                self._send({"type": "error", "errors": [unsupported.entry]})
        if self._keep_alive_timer is None and not self._closed:
            self._schedule_keep_alive()

    async def write(self) -> None:
        """Send queued frames at the client's pace until cancelled or the connection is lost."""
        with contextlib.suppress(ConnectionError):
            while True:
                await self._has_frames.wait()
                while self._outbox:
                    text = self._outbox.popleft()
                    self._journal.sent(self.number, text)
                    await self._socket.send_str(text)
                    self._queued_chars -= len(text)
                self._has_frames.clear()

    async def close(self, code: int) -> None:
        """Close with this code; see Realtime.drop."""
        self.end()
        if code == _ABNORMAL_CLOSURE:
            self._abort()
        else:
            try:
                async with asyncio.timeout(2 * _CLOSE_TIMEOUT_S):
                    await self._socket.close(code=code)
            except (ConnectionError, TimeoutError):
                self._abort()

    def end(self) -> None:
        """Drop all subscriptions and stop the keep-alives; nothing is delivered afterwards."""
        self._closed = True
        if self._keep_alive_timer is not None:
            self._keep_alive_timer.cancel()
        for id_, path in self.subscriptions.items():
            self._events.unsubscribe(path, (self, id_))
        self.subscriptions.clear()

    def _subscribe(self, id_: str, message: dict[str, Json]) -> None:
        self._events.authorize(_authorization(message), "subscribe")
        if id_ in self.subscriptions:
            raise EventsError("DuplicatedOperationError", f"Operation {id_} already exists")
        if len(self.subscriptions) >= MAX_SUBSCRIPTIONS:
            raise EventsError(
                "MaxSubscriptionsReachedError", f"Max number of {MAX_SUBSCRIPTIONS} subscriptions reached"
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
        self._events.authorize(_authorization(message), "publish")
        try:
            publication = self._events.accept(message.get("channel"), message.get("events"))
        except TooManyEventsError as error:
            # Over the WebSocket this error has another type and spelling.
            raise EventsError("InvalidInputError", str(error.message).replace("Input", "input")) from error
        self._send({"type": "publish_success", "id": id_} | publication.response)
        self._events.broadcast(publication)

    def _send(self, frame: dict[str, Json]) -> None:
        """Queue a frame; a client whose queue is full is dropped, so that it neither delays others nor fills memory."""
        if self._closed:
            return
        text = dumps(frame)
        self._queued_chars += len(text)
        if self._queued_chars > self._max_outbox_chars:
            self.end()
            self._abort()
            return
        self._outbox.append(text)
        self._has_frames.set()

    def _schedule_keep_alive(self) -> None:
        self._keep_alive_timer = asyncio.get_running_loop().call_later(self._keep_alive_s, self._send_keep_alive)

    def _send_keep_alive(self) -> None:
        self._send({"type": "ka"})
        if not self._closed:
            self._schedule_keep_alive()

    def _abort(self) -> None:
        self._outbox.clear()
        if self._transport is not None:
            self._transport.abort()


def _authorization(message: dict[str, Json]) -> Mapping[str, Json]:
    value = message.get("authorization")
    return value if isinstance(value, dict) else {}


def _parse_object(text: str | bytes | None) -> dict[str, Json]:
    """Parse a JSON object; an empty one for anything else."""
    try:
        value = None if text is None else loads(text)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {}


def _decode(token: str) -> dict[str, Json]:
    """Decode the subprotocol that carries the authorisation: a JSON object in base64url, padded or not."""
    unpadded = token.rstrip("=")
    try:
        return _parse_object(base64.urlsafe_b64decode(unpadded + "=" * (-len(unpadded) % 4)))
    except ValueError:
        return {}

"""The protocol of one connection, sans I/O.

Frames go in and events come out; commands go in and frames come out; the clock is an argument.

From the AWS AppSync Events developer guide, "Understanding the Event API WebSocket protocol". Where the guide's samples
differ from the service, or the guide says nothing, both forms are accepted: an `event` may be a string or an array of
strings, an error may lack its `id`, `message` or type, and unknown messages and ids are counted and skipped.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from .errors import NAME, ErrorDetail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_SILENCE_TIMEOUT_S = 300.0
"""Seconds without a frame after which the peer is considered dead, until the acknowledgement sets another limit."""


class Acknowledged(NamedTuple):
    """The connection is ready; `timeout` is how many seconds it may be silent."""

    timeout: float


class ConnectionRefused(NamedTuple):
    """The service refused the connection."""

    details: tuple[ErrorDetail, ...]


class Data(NamedTuple):
    """Events of one subscription, each as JSON text."""

    id: str
    events: Sequence[str]


class Confirmed(NamedTuple):
    """A subscription is live."""

    id: str


class SubscribeRefused(NamedTuple):
    """A subscription was refused."""

    id: str
    details: tuple[ErrorDetail, ...]


class Unsubscribed(NamedTuple):
    """A subscription has ended, or the service never had it."""

    id: str


class ErrorReported(NamedTuple):
    """An error that ends nothing: it has no id, or reports a failed broadcast."""

    details: tuple[ErrorDetail, ...]


class Malformed(NamedTuple):
    """A frame that is not a message of the protocol; `reason` does not repeat any of it."""

    reason: str


ProtocolEvent = (
    Acknowledged | ConnectionRefused | Data | Confirmed | SubscribeRefused | Unsubscribed | ErrorReported | Malformed
)


class State(Enum):
    """The state of a subscription on its connection."""

    PENDING = "pending"
    LIVE = "live"
    UNSUBSCRIBING = "unsubscribing"


@dataclass(slots=True)
class Counters:
    """Counts of what was received, over all connections that share the object."""

    frames: int = 0
    """All frames, valid or not."""

    malformed: int = 0
    """Frames that are not a valid message of the protocol."""

    unknown_types: int = 0
    """Messages of a type that this client does not know."""

    unknown_ids: int = 0
    """Messages about unknown or ended subscriptions."""


class Protocol:
    """The client's side of one connection.

    `receive` never raises, whatever the frame; `now` is any monotonic clock.
    """

    def __init__(self, now: float, counters: Counters | None = None) -> None:
        self.counters = counters or Counters()
        self.acknowledged = False
        self.timeout = DEFAULT_SILENCE_TIMEOUT_S
        self._last_received = now
        self._states: dict[str, State] = {}
        # Ids only have to be unique among the subscriptions of one connection.
        self._ids = map(str, itertools.count(1))

    @property
    def deadline(self) -> float:
        """When the peer is considered dead. Any frame postpones it, not only `ka`."""
        return self._last_received + self.timeout

    def silence(self, now: float) -> float:
        """Return the seconds since the last frame."""
        return now - self._last_received

    def is_silent(self, now: float) -> bool:
        """Return whether a quarter of the timeout has passed without a frame, although `ka` is due after a fifth."""
        return self.silence(now) > self.timeout / 4

    @property
    def live(self) -> frozenset[str]:
        """The ids of the subscriptions that are confirmed and not being unsubscribed."""
        return frozenset(id_ for id_, state in self._states.items() if state is State.LIVE)

    def initiate(self) -> bytes:
        """Return the first frame to send."""
        return b'{"type":"connection_init"}'

    def subscribe(self, channel: str, authorization: Mapping[str, str]) -> tuple[str, bytes]:
        """Return the id of a new subscription and the frame that requests it."""
        id_ = next(self._ids)
        self._states[id_] = State.PENDING
        message = {"type": "subscribe", "id": id_, "channel": channel, "authorization": authorization}
        return id_, orjson.dumps(message)

    def unsubscribe(self, id_: str) -> bytes:
        """Return the frame that ends a live subscription.

        Raises ValueError for any other: the service ignores the message before it has confirmed the subscription,
        which then goes live nevertheless.
        """
        if self._states.get(id_) is not State.LIVE:
            raise ValueError("only a live subscription can be unsubscribed")
        self._states[id_] = State.UNSUBSCRIBING
        return orjson.dumps({"type": "unsubscribe", "id": id_})

    def receive(self, frame: bytes | str, now: float) -> ProtocolEvent | None:
        """Process one frame; return its event, or None if it changes nothing."""
        self._last_received = now
        self.counters.frames += 1
        try:
            message = _loads(frame)
        except (ValueError, RecursionError):
            return self._malformed("not JSON")
        if type(message) is not dict:
            return self._malformed("not an object")
        kind = message.get("type")
        if type(kind) is not str:
            return self._malformed("no type")
        # Checked first, because there are thousands of these for each message of another type.
        return self._receive_data(message) if kind == "data" else self._receive_other(kind, message)

    def _receive_data(self, message: dict[str, Any]) -> Data | Malformed | None:
        id_ = message.get("id")
        event = message.get("event")
        if type(id_) is not str:
            return self._malformed("data without an id")
        state = self._states.get(id_)
        if state is None or state is State.UNSUBSCRIBING:
            self.counters.unknown_ids += 1
            return None
        # A pending subscription gets its events as well: the guide does not say that the success comes before them.
        if type(event) is str:
            return Data(id_, (event,))
        if type(event) is list and all(type(item) is str for item in event):
            return Data(id_, event)
        return self._malformed("data without an event")

    def _receive_other(self, kind: str, message: dict[str, Any]) -> ProtocolEvent | None:
        match kind:
            case "ka":
                return None
            case "connection_ack":
                return self._acknowledge(message.get("connectionTimeoutMs"))
            case "connection_error":
                return ConnectionRefused(_details(message))
            case "error" | "broadcast_error":
                return ErrorReported(_details(message))
            case "subscribe_success" | "subscribe_error" | "unsubscribe_success" | "unsubscribe_error":
                return self._receive_response(kind, message)
            case _:
                self.counters.unknown_types += 1
                return None

    def _acknowledge(self, timeout_ms: object) -> Acknowledged | None:
        if isinstance(timeout_ms, int | float) and timeout_ms is not True and timeout_ms >= 1:
            self.timeout = timeout_ms / 1000
        if self.acknowledged:
            return None
        self.acknowledged = True
        return Acknowledged(self.timeout)

    def _receive_response(self, kind: str, message: dict[str, Any]) -> ProtocolEvent | None:
        id_ = message.get("id")
        if type(id_) is not str:
            if kind == "subscribe_error":  # the service is known to omit the id when it throttles
                return ErrorReported(_details(message))
            return self._malformed("response without an id")
        match kind, self._states.get(id_):
            case "subscribe_success", State.PENDING:
                self._states[id_] = State.LIVE
                return Confirmed(id_)
            case "subscribe_error", State.PENDING | State.LIVE:
                del self._states[id_]
                return SubscribeRefused(id_, _details(message))
            case "unsubscribe_success" | "unsubscribe_error" | "subscribe_error", State.UNSUBSCRIBING:
                # The only error for unsubscribe says that the subscription is unknown, so it has ended as well.
                del self._states[id_]
                return Unsubscribed(id_)
            case _, None:
                self.counters.unknown_ids += 1
            case _:  # a repeated response, or one without a request
                pass
        return None

    def _malformed(self, reason: str) -> Malformed:
        self.counters.malformed += 1
        return Malformed(reason)


def _loads(frame: bytes | str) -> Any:
    try:
        return orjson.loads(frame)
    except orjson.JSONDecodeError:
        return json.loads(frame)  # an event may contain lone surrogates, which orjson refuses


def error_details(errors: object) -> tuple[ErrorDetail, ...]:
    """Read an `errors` array as far as possible: every member of an entry may be absent or of another type."""
    if not isinstance(errors, list):
        return ()
    return tuple(_detail(entry) for entry in errors if isinstance(entry, dict))


def _details(message: dict[str, Any]) -> tuple[ErrorDetail, ...]:
    return error_details(message.get("errors"))


def _detail(entry: dict[str, Any]) -> ErrorDetail:
    error_type, code, text = entry.get("errorType"), entry.get("errorCode"), entry.get("message")
    if isinstance(code, str) and code.isascii() and code.isdecimal() and len(code) < 10:
        code = int(code)
    return ErrorDetail(
        error_type=name[0] if isinstance(error_type, str) and (name := NAME.match(error_type)) else None,
        code=code if type(code) is int else None,
        message=text if isinstance(text, str) else None,
    )

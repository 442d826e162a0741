"""The input of an execution, in one of two modes.

In envelope mode it has the execution's id, the request's own text, and where to send the reply. In event mode it is the
request's own text, byte for byte: the state machine need not know of this service, and the relay reports every end.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from service.errors import BodyTooLarge

MAX_INPUT_BYTES: Final = 256 * 1024
"""The largest input of an execution, in bytes of UTF-8 (Step Functions quotas)."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What an execution was started with."""

    event: str
    """The body of the request, as JSON text."""

    channel: str | None
    """The channel on which the execution replies; None if only the relay reports its end."""


class InputMode(Protocol):
    """How executions of a workflow get the event."""

    def encode(self, execution_id: str, event: str, channel: str) -> str:
        """Return the input of an execution; raise BodyTooLarge if Step Functions would reject it."""

    def decode(self, input_: str) -> Envelope | None:
        """Return what is in an execution's input; None if this service did not write it, or the record withholds it."""


class EnvelopeMode:
    """The input is an envelope, and the workflow replies on the channel in it."""

    def encode(self, execution_id: str, event: str, channel: str) -> str:
        """Return the envelope."""
        encoded = orjson.dumps({"id": execution_id, "event": event, "reply": {"channel": channel}})
        if len(encoded) > MAX_INPUT_BYTES:
            raise BodyTooLarge(
                f"The body has {len(event.encode())} bytes; as an execution's input, with its quotes escaped and in an "
                f"envelope, it has {len(encoded)} and may have {MAX_INPUT_BYTES}."
            )
        return encoded.decode()

    def decode(self, input_: str) -> Envelope | None:
        """Return the envelope; None if there is none."""
        try:
            decoded = orjson.loads(input_)
            event, channel = decoded["event"], decoded["reply"]["channel"]
        except (orjson.JSONDecodeError, LookupError, TypeError):
            return None
        return Envelope(event, channel) if isinstance(event, str) and isinstance(channel, str) else None


class EventMode:
    """The input is the event itself, whatever it looks like."""

    def encode(self, execution_id: str, event: str, channel: str) -> str:
        """Return the event."""
        size = len(event.encode())
        if size > MAX_INPUT_BYTES:
            raise BodyTooLarge(f"The body has {size} bytes and may have {MAX_INPUT_BYTES}.")
        return event

    def decode(self, input_: str) -> Envelope | None:
        """Return the event; None if the record withholds it."""
        return Envelope(input_, None) if input_ else None


def same_event(one: str, other: str) -> bool:
    """Return whether two events are the same JSON value, whatever the order of members and the blanks.

    Numbers are compared by their text: a workflow may distinguish 1 from 1.0, and Python cannot represent every number.
    """
    if one == other:
        return True
    try:
        return bool(_value(one) == _value(other))
    except (ValueError, RecursionError):  # not an event that this service accepted
        return False


def _value(event: str) -> Any:
    # Numbers become bytes, because no other JSON value does.
    return json.loads(event, parse_int=str.encode, parse_float=str.encode)

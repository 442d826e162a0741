"""The input of an execution: the id, the request's own text, and where the reply goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import orjson

from service.errors import BodyTooLarge

MAX_INPUT_BYTES: Final = 256 * 1024
"""The largest input of an execution, in bytes of UTF-8 (Step Functions quotas)."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What an execution was started with."""

    event: str
    channel: str


def encode(execution_id: str, event: str, channel: str) -> str:
    """Write the input of an execution; raise BodyTooLarge if Step Functions would not take it."""
    encoded = orjson.dumps({"id": execution_id, "event": event, "reply": {"channel": channel}})
    if len(encoded) > MAX_INPUT_BYTES:
        raise BodyTooLarge(f"Body and envelope take {len(encoded)} bytes; the limit is {MAX_INPUT_BYTES}.")
    return encoded.decode()


def decode(input_: str) -> Envelope | None:
    """Read an execution's input; None if no request of this service has made it."""
    try:
        sealed = orjson.loads(input_)
        event, channel = sealed["event"], sealed["reply"]["channel"]
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return None
    return Envelope(event, channel) if isinstance(event, str) and isinstance(channel, str) else None

"""The `Prefer` header (RFC 7240): how long a caller wants to wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.web import field_lists

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Waits:
    """How long requests wait by default, and at most, by the representation that is sent."""

    response: float
    """Seconds for a plain response. Nothing is sent meanwhile, so it ends before the gateway loses patience."""
    stream: float
    """Seconds for an event stream, which the gateway sees to be alive."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """How long to wait, and what the response says about it."""

    wait: float
    """Seconds to wait: what the caller requested, up to the limit."""
    applied: str | None = None
    """`Preference-Applied` of a response after the wait, or None if it honours no preference."""
    applied_without_wait: str | None = None
    """The same for an instance that did not wait, because it was full or stopping."""


def parse(headers: Sequence[str], *, default: Preferences, limit: float) -> Preferences:
    """Read all `Prefer` headers of a request; ignore what is unknown or malformed, as the RFC requires.

    `default` is returned if the caller states no preference; `limit` is the longest wait in seconds. `respond-async`
    alone means not to wait; with `wait=N` it means 200 within N seconds, else 202 (RFC 7240, 4.3).
    """
    if not headers:
        return default
    found: dict[str, str] = {}
    for header in headers:
        for item in field_lists.split(header, ","):
            name, _, value = item.partition(";")[0].partition("=")
            found.setdefault(name.strip().lower(), value.strip().strip('"'))  # the first of each name counts
    respond_async = "respond-async" if "respond-async" in found else None
    requested = found.get("wait", "")
    if not (requested.isascii() and requested.isdigit() and len(requested) < 10):
        return default if respond_async is None else Preferences(0, respond_async, respond_async)
    wait = min(int(requested), limit)
    applied = ", ".join(filter(None, (respond_async, f"wait={wait:g}")))
    return Preferences(wait, applied, respond_async if wait else applied)

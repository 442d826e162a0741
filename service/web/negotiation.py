"""Content negotiation between JSON and an event stream (RFC 9110, 12.5.1)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from service.errors import NotAcceptable
from service.web import field_lists

if TYPE_CHECKING:
    from collections.abc import Sequence

JSON: Final = "application/json"
STREAM: Final = "text/event-stream"

_MAX_CACHED_CHARS: Final = 256
"""Longer headers are not kept in memory: only attackers send them."""

_RANGE: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+/[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_WEIGHT: Final = re.compile(r"0(?:\.\d{0,3})?|1(?:\.0{0,3})?")


def wants_stream(headers: Sequence[str]) -> bool:
    """Return whether the `Accept` headers of a request prefer a stream; raise NotAcceptable if they exclude both.

    JSON is the default: with equal weights, without the header, and if it is malformed.
    """
    if not headers or headers[0] == "*/*":
        return False
    accept = ", ".join(headers)
    json, stream = (_cached_weights if len(accept) <= _MAX_CACHED_CHARS else _weights)(accept)
    if not json and not stream:
        raise NotAcceptable(f"The available representations are {JSON} and {STREAM}.")
    return stream > json


def _weights(accept: str) -> tuple[float, float]:
    found: dict[str, float] = {}
    for item in field_lists.split(accept, ","):
        name, *parameters = field_lists.split(item, ";") or [""]
        if _RANGE.fullmatch(name) and (weight := _weight(parameters)) is not None:
            found[name.lower()] = max(weight, found.get(name.lower(), 0.0))
    return (_weight_of(JSON, found), _weight_of(STREAM, found)) if found else (1.0, 0.0)


_cached_weights: Final = lru_cache(maxsize=64)(_weights)  # callers send few different headers


def _weight(parameters: list[str]) -> float | None:
    """Return the weight of a media range, None if it is malformed. Other parameters do not matter here."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            return float(value) if _WEIGHT.fullmatch(value.strip()) else None
    return 1.0


def _weight_of(kind: str, found: dict[str, float]) -> float:
    """Return the weight of a media type: that of the most specific matching range."""
    for name in (kind, kind.partition("/")[0] + "/*", "*/*"):
        if name in found:
            return found[name]
    return 0.0

"""Which form of an answer a caller wants: JSON, or a stream of events (RFC 9110, 12.5.1)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from service.errors import NotAcceptable

if TYPE_CHECKING:
    from collections.abc import Sequence

JSON: Final = "application/json"
STREAM: Final = "text/event-stream"

# A comma or a semicolon inside a quoted string separates nothing.
_ITEM: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_PARAMETER: Final = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*"?)+')
_RANGE: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+/[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_WEIGHT: Final = re.compile(r"0(?:\.\d{0,3})?|1(?:\.0{0,3})?")


def wants_stream(headers: Sequence[str]) -> bool:
    """Tell from all `Accept` headers of a request whether it wants a stream; raise NotAcceptable.

    JSON is what is sent where both are wanted alike, and where nothing was said or nothing of it can be read. Nothing
    but a header that excludes both is not acceptable.
    """
    if not headers or headers[0] == "*/*":
        return False
    json, stream = _weights(", ".join(headers))
    if not json and not stream:
        raise NotAcceptable(f"Results are sent as {JSON} and as {STREAM}.")
    return stream > json


@lru_cache(maxsize=64)  # callers send few different ones
def _weights(accept: str) -> tuple[float, float]:
    found: dict[str, float] = {}
    for item in _ITEM.findall(accept):
        name, *parameters = [part.strip() for part in _PARAMETER.findall(item)] or [""]
        if _RANGE.fullmatch(name) and (weight := _weight(parameters)) is not None:
            found[name.lower()] = max(weight, found.get(name.lower(), 0.0))
    return (_of(JSON, found), _of(STREAM, found)) if found else (1.0, 0.0)


def _weight(parameters: list[str]) -> float | None:
    """Return a range's weight, None if it is none. Other parameters are left aside: what we send has no variants."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            return float(value) if _WEIGHT.fullmatch(value.strip()) else None
    return 1.0


def _of(kind: str, found: dict[str, float]) -> float:
    """Return the weight of a media type: that of the most specific range which has it."""
    for name in (kind, kind.partition("/")[0] + "/*", "*/*"):
        if name in found:
            return found[name]
    return 0.0

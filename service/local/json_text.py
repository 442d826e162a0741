"""JSON text as AWS accepts it: a fast parser, and the standard library for what it does not support."""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeAlias

import orjson

# Values are checked at run time, so a recursive type would add casts but no safety.
Json: TypeAlias = Any


def loads(text: str | bytes) -> Json:
    """Parse JSON text; ValueError if it is not valid.

    The fallback is for what JSON allows and the fast parser does not, such as unpaired surrogates.
    """
    try:
        return orjson.loads(text)
    except ValueError:
        try:
            return json.loads(text, parse_constant=_refuse)
        except RecursionError:
            raise ValueError("JSON is nested too deeply") from None


def encode(value: Json) -> bytes:
    """Write compact JSON; TypeError or ValueError for what JSON cannot represent."""
    try:
        return orjson.dumps(value)
    except TypeError:
        # The fast writer does not support unpaired surrogates, integers beyond 64 bits or deep nesting; JSON does.
        try:
            return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
        except RecursionError:
            raise ValueError("JSON is nested too deeply") from None


def dumps(value: Json) -> str:
    """Write compact JSON text; the errors are those of encode."""
    return encode(value).decode()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")

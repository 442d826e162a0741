"""JSON as the services of AWS take it: fast where the text is ordinary, lenient where JSON itself is."""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeAlias

import orjson

# What a definition does with a value is checked when it runs; a recursive type would add casts and no safety.
Json: TypeAlias = Any


def loads(text: str | bytes) -> Json:
    """Parse JSON text; ValueError when it is none.

    The slow way serves the little that JSON allows and the fast parser does not, such as unpaired surrogates.
    """
    try:
        return orjson.loads(text)
    except ValueError:
        try:
            return json.loads(text, parse_constant=_refuse)
        except RecursionError:
            raise ValueError("JSON is nested too deeply") from None


def encode(value: Json) -> bytes:
    """Write compact JSON; TypeError or ValueError for what JSON cannot say."""
    try:
        return orjson.dumps(value)
    except TypeError:
        # Unpaired surrogates, integers beyond 64 bits, deep nesting: JSON can say them, the fast writer will not.
        try:
            return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
        except RecursionError:
            raise ValueError("JSON is nested too deeply") from None


def dumps(value: Json) -> str:
    """Write compact JSON text; errors as from encode."""
    return encode(value).decode()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")

"""JSON with lone surrogates: JSON text may contain them, UTF-8 may not, so fast parsers refuse them.

The fast parsers go first; Python's own parser handles what they refuse.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
import orjson

_RAW: Final = msgspec.json.Decoder(msgspec.Raw)


def loads(text: bytes) -> Any:
    """Parse JSON text, or `NaN` and `Infinity`; raise ValueError if it is anything else or nested too deeply."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            return json.loads(text)
        except RecursionError:
            raise ValueError("JSON is nested too deeply") from None


def raw(text: str) -> bytes:
    r"""Return JSON text as it is, in UTF-8 and without surrounding white space; raise ValueError as `loads` does.

    Text with lone surrogates is rewritten, with `\u` escapes.
    """
    try:
        try:
            return bytes(_RAW.decode(text))
        except ValueError:
            return json.dumps(json.loads(text), allow_nan=False).encode()
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None

"""The `Idempotency-Key` header (IETF draft "The Idempotency-Key HTTP Header Field")."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from service.errors import InvalidIdempotencyKey

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_KEY_LENGTH: Final = 255

# The draft requires a string of RFC 8941; most clients send it without quotes, which means the same here.
_STRING: Final = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE: Final = re.compile(r"[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]+")


def parse(headers: Sequence[str]) -> str | None:
    """Return the key, or None without the header; raise InvalidIdempotencyKey."""
    if not headers:
        return None
    text = headers[0].strip(" \t")
    if len(headers) > 1:
        raise InvalidIdempotencyKey("The request has more than one Idempotency-Key header.")
    if (string := _STRING.fullmatch(text)) is not None:
        key = re.sub(r"\\(.)", r"\1", string[1])
    elif _BARE.fullmatch(text):
        key = text
    else:
        raise InvalidIdempotencyKey(
            "An Idempotency-Key must be a single string of printable ASCII characters, such as a UUID."
        )
    if not 1 <= len(key) <= MAX_KEY_LENGTH:
        raise InvalidIdempotencyKey(f"An Idempotency-Key must have 1 to {MAX_KEY_LENGTH} characters.")
    return key

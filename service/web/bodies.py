"""Request and response bodies: JSON in, validated; JSON out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson
from aiohttp import hdrs, web

from service.bridge.envelope import MAX_INPUT_BYTES
from service.errors import BodyTooLarge, BodyTooSlow, MalformedJson, NotJson, UnsupportedEncoding
from service.web.problems import ENCODINGS, ENCODINGS_DETAIL

if TYPE_CHECKING:
    from service.web.schema import RequestSchema

BODY_TIMEOUT_S: Final = 10.0
"""Time for a body to arrive."""


async def read_event(request: web.Request, schema: RequestSchema) -> str:
    """Return the request's body exactly as it was sent, validated as JSON and against the schema.

    Raise NotJson, UnsupportedEncoding, BodyTooSlow, BodyTooLarge, MalformedJson or SchemaViolation.
    """
    # aiohttp's own property parses with `email`, whose cost is quadratic in a header's length.
    kind = request.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise NotJson("Send the body with Content-Type: application/json.")
    encoding = request.headers.get(hdrs.CONTENT_ENCODING)
    if encoding is not None and encoding.lower() not in ENCODINGS:
        raise UnsupportedEncoding(ENCODINGS_DETAIL)
    try:
        if request.content.is_eof():  # it arrived with the headers, as most do, and needs no timer
            raw = await request.read()
        else:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                raw = await request.read()
    except TimeoutError:
        raise BodyTooSlow(f"The body must arrive within {BODY_TIMEOUT_S:g} seconds.") from None
    except web.RequestPayloadError:
        raise MalformedJson("The body does not match its Content-Encoding or Transfer-Encoding.") from None
    except web.HTTPRequestEntityTooLarge:
        raise BodyTooLarge(
            f"An execution's input is limited to {MAX_INPUT_BYTES} bytes, including the envelope."
        ) from None
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise MalformedJson(f"Invalid JSON or UTF-8 at character {error.pos}.") from None
    schema.check(body)
    return raw.decode()


class _Identified(msgspec.Struct):
    id: Any = msgspec.UNSET


_IDENTIFIED: Final = msgspec.json.Decoder(_Identified)


def result(execution_id: str, output: bytes) -> bytes:
    """Write a result: the execution's id next to the members of its output.

    An output that is not an object goes under `output`. So does one with a different `id` of its own, so that neither
    id hides the other.
    """
    head = b'{"id":"%b",' % execution_id.encode()
    if output.startswith(b"{"):
        own = _own_id(output)
        if own == execution_id:
            return output
        if own is msgspec.UNSET:
            members = output[1:].lstrip()
            return head[:-1] + members if members == b"}" else head + members
    return b'%b"output":%b}' % (head, output)


def _own_id(output: bytes) -> Any:
    """Return the `id` of a JSON object, UNSET if it has none, None if Python cannot represent it."""
    try:
        return _IDENTIFIED.decode(output).id
    except (msgspec.DecodeError, RecursionError):
        return None

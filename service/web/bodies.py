"""Request and response bodies: JSON in, validated; JSON out."""

from __future__ import annotations

import asyncio
import codecs
import zlib
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson
from aiohttp import hdrs, web

from service.bridge.envelope import MAX_INPUT_BYTES
from service.errors import BodyTooLarge, BodyTooSlow, MalformedJson, NotJson, UnsupportedEncoding
from service.web.problems import ENCODINGS, ENCODINGS_DETAIL

if TYPE_CHECKING:
    from service.web.schema import JsonSchema

BODY_TIMEOUT_S: Final = 10.0
"""Time for a body to arrive."""

_OLD_GZIP: Final = "x-gzip"
"""Another name of gzip, which a recipient should accept (RFC 9110, 8.4.1.3)."""

MAX_GZIP_MEMBERS: Final = 16
"""Members of a gzip body, which may be a series of them (RFC 1952, 2.2): an empty one costs more than its 20 bytes."""

_GZIP_FORMAT: Final = zlib.MAX_WBITS + 16
_ZLIB_FORMAT: Final = zlib.MAX_WBITS
_RAW_FORMAT: Final = -zlib.MAX_WBITS

_NOT_ENCODED: Final = "The body does not match its Content-Encoding or Transfer-Encoding."

_HALF: Final = "half of a surrogate pair stands alone"
_REASONS: Final = {
    "no low surrogate in string": _HALF,
    "invalid high surrogate in string": _HALF,
    "number is infinity when parsed as double": "the number is too large",
    "number with leading zero is not allowed": "a number must not begin with 0",
    "trailing comma is not allowed": "there must be no comma after the last member or item",
    "unexpected content after document": "something follows the value",
    "unexpected end of data": "the text ends too early",
    "unexpected control character in string": "a control character, such as a line break, must be escaped",
    "invalid escaped sequence in string": "JSON does not have this escape sequence",
    "unexpected character, expected a string key": "a name in double quotes is expected",
    "unexpected character, expected a JSON value": "a value is expected",
    "unexpected character, expected ':' after key": "a colon is expected",
    "unexpected character, expected ',' or '}'": "a comma or a closing brace is expected",
    "unexpected character, expected ',' or ']'": "a comma or a closing bracket is expected",
}
"""What the parser's messages mean, in plain words."""


async def read_event(request: web.Request, schema: JsonSchema) -> str:
    """Return the request's body exactly as it was sent, validated as JSON and against the schema.

    Raise NotJson, UnsupportedEncoding, BodyTooSlow, BodyTooLarge, MalformedJson or SchemaViolation.
    """
    # aiohttp's own property parses with `email`, whose cost is quadratic in a header's length.
    kind = request.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise NotJson("Send the body with Content-Type: application/json.")
    encodings = request.headers.getall(hdrs.CONTENT_ENCODING, ())
    encoding = encodings[0].lower() if encodings else "identity"
    if len(encodings) > 1 or encoding not in (*ENCODINGS, _OLD_GZIP):
        raise UnsupportedEncoding(ENCODINGS_DETAIL)
    try:
        if request.content.is_eof():  # it arrived with the headers, as most do, and needs neither timer nor copies
            raw = request.content.read_nowait()
        else:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                raw = await request.read()
    except TimeoutError:
        raise BodyTooSlow(f"The body must arrive within {BODY_TIMEOUT_S:g} seconds.") from None
    except web.RequestPayloadError:
        raise MalformedJson(_NOT_ENCODED) from None
    except web.HTTPRequestEntityTooLarge:
        size = f"{request.content_length} bytes" if not encodings and request.content_length else "too many bytes"
        raise _too_large(size) from None
    if len(raw) > MAX_INPUT_BYTES:
        raise _too_large(f"{len(raw)} bytes")
    if encoding != "identity":
        raw = _decompressed(raw, encoding)
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise MalformedJson(_what_is_wrong(raw, error)) from None
    schema.check(body)
    return raw.decode()


def _too_large(size: str) -> BodyTooLarge:
    return BodyTooLarge(
        f"The body has {size}; as an execution's input, with its quotes escaped and in an envelope, it may have "
        f"{MAX_INPUT_BYTES} bytes."
    )


def _decompressed(raw: bytes, encoding: str) -> bytes:
    """Decompress a body, up to the size that is accepted; whatever does not end as its encoding demands is malformed.

    aiohttp, which is told not to, would accept a gzip body without its end.
    """
    text = b""
    for _ in range(1 if encoding == "deflate" else MAX_GZIP_MEMBERS):
        stream = zlib.decompressobj(wbits=_format(raw, encoding))
        try:
            text += stream.decompress(raw, MAX_INPUT_BYTES + 1 - len(text))
        except zlib.error:
            break
        if len(text) > MAX_INPUT_BYTES:
            raise _too_large("too many bytes")
        if not stream.eof:
            break
        if not (raw := stream.unused_data):
            return text
    raise MalformedJson(_NOT_ENCODED)


def _format(raw: bytes, encoding: str) -> int:
    if encoding != "deflate":
        return _GZIP_FORMAT
    # Some senders leave out the zlib format around the deflate stream, which one should accept (RFC 9110, 8.4.1.2).
    return _ZLIB_FORMAT if raw[:1] and raw[0] & 15 == zlib.DEFLATED else _RAW_FORMAT


def _what_is_wrong(raw: bytes, error: orjson.JSONDecodeError) -> str:
    """Say in plain words why a body is not JSON, without repeating any of it."""
    if not raw.strip():
        return "The body is empty."
    if raw.startswith(codecs.BOM_UTF8):
        return "The body begins with a byte order mark; leave it out."
    try:
        raw.decode()
    except UnicodeDecodeError as invalid:
        return f"The body is not valid UTF-8 at byte {invalid.start}."
    if error.msg == "depth limit exceeded":
        return "The body is nested too deeply."
    return f"Invalid JSON at character {error.pos}: {_REASONS.get(error.msg, 'this is not JSON')}."


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

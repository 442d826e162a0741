"""Documents that stay the same until the next deployment: with a validator, a lifetime, and compressed if accepted."""

from __future__ import annotations

import gzip
import hashlib
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

from service.web import field_lists

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CACHED: Final[dict[str, str]] = {hdrs.CACHE_CONTROL: "max-age=300"}
"""Five minutes, so that a new deployment is soon seen by all."""

_MIN_COMPRESSED_BYTES: Final = 1024
"""Below this, compression saves no packet."""


class Document:
    """A document in memory."""

    def __init__(self, body: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        self._body = body
        self._compressed = gzip.compress(body, mtime=0) if len(body) >= _MIN_COMPRESSED_BYTES else None
        self._content_type = content_type
        # A weak validator holds for the compressed form, too (RFC 9110, 8.8.1).
        self._etag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
        self._headers = {**CACHED, hdrs.ETAG: self._etag, hdrs.VARY: hdrs.ACCEPT_ENCODING, **(headers or {})}

    async def handle(self, request: web.Request) -> web.Response:
        """Respond with the document, or with 304 if the caller has it already."""
        known = field_lists.split(", ".join(request.headers.getall(hdrs.IF_NONE_MATCH, ())), ",")
        if any(tag == "*" or tag.removeprefix("W/") == self._etag.removeprefix("W/") for tag in known):
            return web.Response(status=304, headers=self._headers)
        if self._compressed is not None and _accepts_gzip(request.headers.getall(hdrs.ACCEPT_ENCODING, ())):
            headers = {**self._headers, hdrs.CONTENT_ENCODING: "gzip"}
            return web.Response(body=self._compressed, content_type=self._content_type, headers=headers)
        return web.Response(body=self._body, content_type=self._content_type, charset="utf-8", headers=self._headers)


def _accepts_gzip(headers: Sequence[str]) -> bool:
    """Return whether `Accept-Encoding` names gzip without refusing it (RFC 9110, 12.5.3)."""
    for item in field_lists.split(", ".join(headers).lower(), ","):
        name, *parameters = (part.replace(" ", "") for part in item.split(";"))
        if name in {"gzip", "x-gzip"}:
            return not any(parameter.startswith("q=") and not parameter[2:].strip("0.") for parameter in parameters)
    return False

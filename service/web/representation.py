"""The representation of a result or problem, sent as a JSON response or as one event of a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_STORE: Final[dict[str, str]] = {hdrs.CACHE_CONTROL: "no-store"}
"""Results and problems are private data, and what a URL returns changes when its execution ends: no cache may keep
them."""

SERVER: Final[dict[str, str]] = {hdrs.SERVER: "sync-front"}
"""Names the service without versions; otherwise aiohttp adds its own and Python's to every response."""


@dataclass(slots=True)
class Representation:
    """Status, headers and body of a result or a problem."""

    status: int
    """HTTP status code."""
    body: bytes
    """JSON text."""
    content_type: str
    """Media type of the body, without parameters."""
    headers: Mapping[str, str]
    """Headers other than Content-Type and Content-Length."""

    def to_response(self) -> web.Response:
        """Build the HTTP response."""
        return web.Response(status=self.status, body=self.body, content_type=self.content_type, headers=self.headers)

"""Who calls, as a header says that the gateway in front of the service sets."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from service.errors import CallerUnknown
from service.web.context import CONTEXT

if TYPE_CHECKING:
    from aiohttp import web


class Callers:
    """Reads the caller of a request from the header called `header`; without one, all are the same caller.

    The log never has the header's value, only a hash of it that is keyed with `secret`.
    """

    def __init__(self, header: str | None, secret: str) -> None:
        self._header = header
        self._hash_key = hmac.digest(secret.encode(), b"sync-front caller", "sha256")

    def identify(self, request: web.Request) -> str:
        """Return who calls: the header's value, or an empty text if all are the same caller.

        Raise CallerUnknown if the header is missing, empty or repeated: the gateway did not set it, or added it to one
        that the client sent.
        """
        if self._header is None:
            return ""
        values = request.headers.getall(self._header, ())
        if len(values) != 1 or not values[0]:
            raise CallerUnknown("The gateway did not say who calls.")
        caller = values[0]
        digest = hmac.digest(self._hash_key, caller.encode(errors="surrogateescape"), "sha256")
        request[CONTEXT].caller = digest[:8].hex()
        return caller

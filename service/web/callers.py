"""Who calls, as a header says that the gateway in front of the service sets."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from service.errors import CallerUnknown
from service.web.context import CONTEXT

if TYPE_CHECKING:
    from aiohttp import web

    from service.bridge.caller_rates import CallerRates


class Callers:
    """Reads the caller of a request from the header called `header`; without one, all are the same caller.

    Nothing but ids has the header's value: the log, and what counts the requests of a caller, have a hash of it that is
    keyed with `secret`. Each caller has to keep to its rate in `rates`, if there are any.
    """

    def __init__(self, header: str | None, secret: str, rates: CallerRates | None = None) -> None:
        self._header = header
        self._rates = rates
        self._hash_key = hmac.digest(secret.encode(errors="surrogateescape"), b"sync-front caller", "sha256")

    def identify(self, request: web.Request) -> str:
        """Return who calls: the header's value, or an empty text if all are the same caller.

        Raise CallerUnknown if the header is missing, empty or repeated: the gateway did not set it, or added it to one
        that the client sent. Raise CallerRateExceeded if the caller sends requests faster than its rate allows.
        """
        if self._header is None:
            return ""
        values = request.headers.getall(self._header, ())
        if len(values) != 1 or not values[0]:
            raise CallerUnknown("The gateway did not say who calls.")
        caller = values[0]
        digest = hmac.digest(self._hash_key, caller.encode(errors="surrogateescape"), "sha256")
        hashed = request[CONTEXT].caller = digest[:8].hex()
        if self._rates is not None:
            self._rates.take(hashed)
        return caller

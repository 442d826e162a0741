"""Cross-origin requests from browsers (Fetch standard, "CORS protocol"), for the origins that are configured."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

if TYPE_CHECKING:
    from collections.abc import Collection

ANY: Final = "*"
"""All of them."""

REQUEST_HEADERS: Final = (
    "Accept, Content-Type, Idempotency-Key, Last-Event-ID, Prefer, X-Request-Id, traceparent, tracestate"
)
ANSWER_HEADERS: Final = "Location, Preference-Applied, Retry-After, Server-Timing, X-Request-Id"

_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?")
_MAX_AGE: Final = "7200"  # seconds: as long as any browser remembers


def parse_origins(text: object) -> frozenset[str]:
    """Read origins separated by commas, or `*` alone; raise ValueError for what no browser would ever send."""
    if isinstance(text, frozenset):
        return text
    origins = frozenset(part.strip() for part in text.split(",")) if isinstance(text, str) else frozenset({""})
    if origins != {ANY} and not all(_ORIGIN.fullmatch(origin) for origin in origins):
        raise ValueError("must be * or look like https://app.example, https://other.example:8443")
    return origins


def allow(app: web.Application, origins: Collection[str]) -> None:
    """Let pages of these origins use every route of `app`; call it once all routes are there.

    No credentials are allowed: the service knows none.
    """

    async def mark(request: web.Request, response: web.StreamResponse) -> None:
        granted = _granted(request, origins)
        if granted is not None:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = granted
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = ANSWER_HEADERS
        if ANY not in origins:
            response.headers.add(hdrs.VARY, hdrs.ORIGIN)

    async def options(request: web.Request) -> web.Response:
        resource = request.match_info.route.resource
        methods = ", ".join(sorted(route.method for route in resource or ()))
        headers = {hdrs.ALLOW: methods}
        if hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers and _granted(request, origins) is not None:
            headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = methods
            headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = REQUEST_HEADERS
            headers[hdrs.ACCESS_CONTROL_MAX_AGE] = _MAX_AGE
        return web.Response(status=204, headers=headers)

    for resource in list(app.router.resources()):
        if isinstance(resource, web.Resource):
            resource.add_route(hdrs.METH_OPTIONS, options)
    app.on_response_prepare.append(mark)


def _granted(request: web.Request, origins: Collection[str]) -> str | None:
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None:
        return None
    return ANY if ANY in origins else origin if origin in origins else None

"""Cross-origin requests from browsers (Fetch standard, "CORS protocol"), for the origins that are configured."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

if TYPE_CHECKING:
    from collections.abc import Collection

ANY: Final = "*"
"""Allows every origin."""

REQUEST_HEADERS: Final = (
    "Accept, Content-Type, Idempotency-Key, Last-Event-ID, Prefer, X-Request-Id, traceparent, tracestate, "
    # For the gateway: tokens, API keys, and requests that are signed for AWS.
    "Authorization, X-Api-Key, X-Amz-Content-Sha256, X-Amz-Date, X-Amz-Security-Token"
)
RESPONSE_HEADERS: Final = "Location, Preference-Applied, Retry-After, Server-Timing, X-Request-Id"

_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?")
_MAX_AGE_S: Final = "7200"  # seconds; no browser caches a preflight for longer


def parse_origins(text: object) -> frozenset[str]:
    """Read origins separated by commas, or `*` alone; raise ValueError for one that no browser would send."""
    if isinstance(text, frozenset):
        return text
    origins = frozenset(part.strip() for part in text.split(",")) if isinstance(text, str) else frozenset({""})
    if origins != {ANY} and not all(_ORIGIN.fullmatch(origin) for origin in origins):
        raise ValueError("must be * or look like https://app.example, https://other.example:8443")
    return origins


def allow(app: web.Application, origins: Collection[str]) -> None:
    """Allow pages from these origins to use every route of `app`; call it after all routes are added.

    Credentials are not allowed, because the service does not use any.
    """

    async def mark(request: web.Request, response: web.StreamResponse) -> None:
        allowed = _allowed_origin(request, origins)
        if allowed is not None:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = allowed
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = RESPONSE_HEADERS
        if ANY not in origins:
            response.headers.add(hdrs.VARY, hdrs.ORIGIN)

    async def options(request: web.Request) -> web.Response:
        resource = request.match_info.route.resource
        methods = ", ".join(sorted(route.method for route in resource or ()))
        headers = {hdrs.ALLOW: methods}
        if hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers and _allowed_origin(request, origins) is not None:
            headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = methods
            headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = REQUEST_HEADERS
            headers[hdrs.ACCESS_CONTROL_MAX_AGE] = _MAX_AGE_S
        return web.Response(status=204, headers=headers)

    for resource in list(app.router.resources()):
        if isinstance(resource, web.Resource):
            resource.add_route(hdrs.METH_OPTIONS, options)
    app.on_response_prepare.append(mark)


def _allowed_origin(request: web.Request, origins: Collection[str]) -> str | None:
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None:
        return None
    return ANY if ANY in origins else origin if origin in origins else None

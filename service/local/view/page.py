"""The page at `/_local/`: its files, its feed, and the middleware that records the service's requests.

It is served in local use only. Anyone who can reach the port may see everything but credentials.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

from service.local.view.feed import Feed
from service.local.view.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.typedefs import Handler

PATH: Final = "/_local/"
_FILES: Final = {
    "": ("index.html", "text/html"),
    "view.css": ("view.css", "text/css"),
    "view.js": ("view.js", "text/javascript"),
}
_HEADERS: Final = {
    hdrs.CACHE_CONTROL: "no-store",
    # Trusted Types forbid parsing text as markup: what callers send is shown, never interpreted.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# Health checks and scrapes come every few seconds and would push everything else out of the journal.
_UNRECORDED_PATHS: Final = ("/healthz", "/readyz", "/metrics")


class View:
    """The live view of one local AWS; `executions` and `connections` return how many are running and open."""

    def __init__(self, executions: Callable[[], int], connections: Callable[[], int]) -> None:
        self.journal = Journal()
        """The entries that the page shows; the local AWS adds to it."""
        self.feed = Feed(self.journal, self._counts)
        self._executions = executions
        self._connections = connections
        self._attached = False
        self._requests = 0
        self._in_flight = 0

    def mount(self, application: web.Application) -> None:
        """Serve the page from this application under `/_local/`."""
        for name, (file, content_type) in _FILES.items():
            application.router.add_get(PATH + name, _static((Path(__file__).parent / file).read_bytes(), content_type))
        application.router.add_get(PATH + "feed", self.feed.handle)
        application.router.add_get(PATH.rstrip("/"), _redirect)
        application.on_shutdown.append(self._close)
        self.feed.open()

    def attach(self, application: web.Application) -> None:
        """Serve the page from the service's own application and show that application's requests."""
        self.mount(application)
        self._attached = True

        @web.middleware
        async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith(PATH) or request.path.endswith(_UNRECORDED_PATHS):
                return await handler(request)
            return await self._record(request, handler)

        application.middlewares.insert(0, record)

    async def _record(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._requests += 1
        request_fields = (self._requests, request.method, request.path, time.time())
        status: int | None = None
        self._in_flight += 1
        self.journal.request(*request_fields)
        try:
            response = await handler(request)
            status = response.status
        finally:
            self._in_flight -= 1
            self.journal.request(*request_fields, ended=time.time(), status=status)
        return response

    def _counts(self) -> dict[str, int | None]:
        return {
            "requests": self._in_flight if self._attached else None,
            "executions": self._executions(),
            "connections": self._connections(),
        }

    async def _close(self, _: web.Application) -> None:
        self.feed.close()


def _static(body: bytes, content_type: str) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=content_type, charset="utf-8", headers=_HEADERS)

    return handle


async def _redirect(_: web.Request) -> web.Response:
    return web.Response(status=308, headers={hdrs.LOCATION: PATH})

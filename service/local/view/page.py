"""The page at `/_local/`: its files, its feed, and the watch over the service's requests.

It exists in local use only and hides nothing but credentials: whoever reaches the port may look.
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
    # Trusted Types forbid what would read a text as markup: what callers send is shown, never interpreted.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# These come every few seconds where a container is checked, and would push all else out of the journal.
_PROBES: Final = ("/healthz", "/readyz", "/metrics")


class View:
    """The live view over one local AWS: `executions` and `connections` count what runs and is open there."""

    def __init__(self, executions: Callable[[], int], connections: Callable[[], int]) -> None:
        self.journal = Journal()
        """Where the local AWS writes what happens."""
        self.feed = Feed(self.journal, self._counts)
        self._executions = executions
        self._connections = connections
        self._watches = False
        self._requests = 0
        self._in_flight = 0

    def mount(self, application: web.Application) -> None:
        """Serve the page in this application, too, under `/_local/`."""
        for name, (file, content_type) in _FILES.items():
            application.router.add_get(PATH + name, _answer((Path(__file__).parent / file).read_bytes(), content_type))
        application.router.add_get(PATH + "feed", self.feed.handle)
        application.router.add_get(PATH.rstrip("/"), _to_the_page)
        application.on_shutdown.append(self._close)
        self.feed.open()

    def join(self, application: web.Application) -> None:
        """Serve the page in the service's own application and show the requests that come to it."""
        self.mount(application)
        self._watches = True

        @web.middleware
        async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith(PATH) or request.path.endswith(_PROBES):
                return await handler(request)
            return await self._watch(request, handler)

        application.middlewares.insert(0, watch)

    async def _watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._requests += 1
        what = (self._requests, request.method, request.path, time.time())
        status: int | None = None
        self._in_flight += 1
        self.journal.request(*what)
        try:
            response = await handler(request)
            status = response.status
        finally:
            self._in_flight -= 1
            self.journal.request(*what, ended=time.time(), status=status)
        return response

    def _counts(self) -> dict[str, int | None]:
        return {
            "requests": self._in_flight if self._watches else None,
            "executions": self._executions(),
            "connections": self._connections(),
        }

    async def _close(self, _: web.Application) -> None:
        self.feed.close()


def _answer(body: bytes, content_type: str) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=content_type, charset="utf-8", headers=_HEADERS)

    return handle


async def _to_the_page(_: web.Request) -> web.Response:
    return web.Response(status=308, headers={hdrs.LOCATION: PATH})

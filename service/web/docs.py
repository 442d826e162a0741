"""Interactive API documentation at `/docs`: Swagger UI over `/openapi.json`, offline.

The files of Swagger UI come from a package that includes them, so they are pinned by hash like every dependency and
nothing is loaded from elsewhere. The only script of our own is the line that starts Swagger UI.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

from service.web.documents import CACHED, Document

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

HOME: Final[web.AppKey[str]] = web.AppKey("home")
"""Where `/` leads if not to the documentation."""

# `validatorUrl` would send the description to a public validator.
_START: Final = (
    "SwaggerUIBundle({url: 'openapi.json', dom_id: '#swagger-ui', deepLinking: true, tryItOutEnabled: true, "
    "displayRequestDuration: true, validatorUrl: null})"
)

# Addresses are relative, so that the page works below a stage prefix, too.
_PAGE: Final = f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>sync-front</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script>{_START}</script>
</body>
</html>
"""

_SWAGGER_UI: Final = Path(str(files("mkdocs_swagger_ui_tag"))) / "swagger-ui"
_ASSETS: Final = {"swagger-ui.css": "stylesheets", "swagger-ui-bundle.js": "javascripts"}

_POLICY: Final = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self' "
    f"'sha256-{base64.b64encode(hashlib.sha256(_START.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of the page: its own scripts and styles, and requests to this service."""


def add_routes(app: web.Application, prefix: str) -> None:
    """Serve the page at `/docs` below `prefix`, and redirect to it from the root of `prefix`."""
    headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
    page = Document(_PAGE.encode(), "text/html", headers)

    async def home(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={hdrs.LOCATION: request.app.get(HOME, f"{prefix}/docs")})

    app.router.add_get(f"{prefix}/docs", page.handle)
    app.router.add_get(f"{prefix}/", home)
    for name, folder in _ASSETS.items():
        app.router.add_get(f"{prefix}/docs/{name}", _asset(_SWAGGER_UI / folder / name))


def _asset(path: Path) -> Handler:
    async def handle(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(path, headers={"X-Content-Type-Options": "nosniff"} | CACHED)

    return handle

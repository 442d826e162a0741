"""Where the service listens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from service.web.http_connection import HttpConnection

if TYPE_CHECKING:
    from service.web.connections import Connections


class Site(web.BaseSite):
    """A `web.TCPSite` whose connections have these limits."""

    def __init__(self, runner: web.AppRunner, host: str, port: int, *, backlog: int, connections: Connections) -> None:
        super().__init__(runner, backlog=backlog)
        self._host = host
        self._port = port
        self._connections = connections

    @property
    def name(self) -> str:
        """The URL it listens on."""
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        """Start listening; raise OSError or UnicodeError if that fails."""
        await super().start()
        server = self._runner.server
        if server is None:
            raise RuntimeError("the runner is not set up")
        self._server = await asyncio.get_running_loop().create_server(
            lambda: HttpConnection(server, self._connections), self._host, self._port, backlog=self._backlog
        )

    async def stop(self) -> None:
        """Stop listening."""
        self._connections.close()
        await super().stop()

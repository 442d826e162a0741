"""Where the service listens."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from aiohttp import web
from yarl import URL

from service.web.http_connection import HttpConnection

if TYPE_CHECKING:
    from service.web.connections import Connections


def is_wildcard(host: str) -> bool:
    """Return whether a host stands for all addresses of the machine: 0.0.0.0, or ::, which includes those of IPv4."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


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
        return str(URL.build(scheme="http", host=self._host, port=self._port))

    async def start(self) -> None:
        """Start listening; raise OSError or UnicodeError if that fails."""
        await super().start()
        server = self._runner.server
        if server is None:
            raise RuntimeError("the runner is not set up")
        self._server = await asyncio.get_running_loop().create_server(
            lambda: HttpConnection(server, self._connections), **self._address(), backlog=self._backlog
        )

    def _address(self) -> dict[str, Any]:
        if is_wildcard(self._host) and ":" in self._host and socket.has_dualstack_ipv6():
            # asyncio would listen for IPv6 alone.
            address = (self._host, self._port)
            return {"sock": socket.create_server(address, family=socket.AF_INET6, dualstack_ipv6=True)}
        return {"host": self._host, "port": self._port}

    async def stop(self) -> None:
        """Stop listening."""
        self._connections.close()
        await super().stop()

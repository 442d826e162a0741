"""New connections to an endpoint: name lookup, TCP, proxy, TLS, each with a deadline of its own.

An attempt that fails in any of these has sent nothing to the endpoint.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeVar

import aiohappyeyeballs

from service.stepfunctions.address import Address
from service.stepfunctions.dns import Resolver
from service.stepfunctions.errors import NotSentError, Phase, describe
from service.stepfunctions.proxy import Proxy, ProxyRefusedError, Tunnel

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable

    from service.stepfunctions.endpoint import Endpoint
    from service.stepfunctions.http1 import Connection

P = TypeVar("P", bound=asyncio.Protocol)

HAPPY_EYEBALLS_DELAY_S: Final = 0.25
"""Seconds after which the next address is tried as well (RFC 8305)."""


class Connector:
    """Connects to `endpoint`; each phase takes at most `timeout` seconds.

    Raise ValueError if the endpoint's URL or that of its proxy cannot be used.
    """

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        self.address = Address.parse(endpoint.url)
        """Where the endpoint is."""
        try:
            self.proxy = None if endpoint.proxy is None else Proxy(endpoint.proxy)
            """The proxy in front of it, if any."""
        except ValueError as error:
            raise ValueError(f"the proxy cannot be used: {error}") from None
        self._tls = endpoint.tls
        self._timeout = timeout
        self._hop = self.address if self.proxy is None else self.proxy.address
        self._resolver = Resolver(self._hop.host, self._hop.port)

    async def connect(self, new: Callable[[], Connection], deadline: float) -> Connection:
        """Return a connection made by `new`; raise NotSentError, at the latest at `deadline`."""
        sock = await self._connect(deadline)
        if self.proxy is None or not self.address.tls:
            phase: Phase = "tls" if self.proxy is None else "proxy"
            async with self._phase(phase, self._hop, deadline):
                return (await self._open(new, sock))[1]
        async with self._phase("proxy", self._hop, deadline):
            transport, tunnel = await self._open(Tunnel, sock)
            try:
                await tunnel.open(self.proxy.connect_request(self.address))
            except BaseException:
                transport.abort()
                raise
        async with self._phase("tls", self.address, deadline):
            return await self._start_tls(transport, new())

    async def _connect(self, deadline: float) -> socket.socket:
        async with self._phase("dns", self._hop, deadline):
            addresses = await self._resolver.addresses()
        try:
            async with self._phase("connect", self._hop, deadline):
                return await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_S)
        except NotSentError:
            self._resolver.forget()
            raise

    async def _open(self, new: Callable[[], P], sock: socket.socket) -> tuple[asyncio.Transport, P]:
        """Use a connected socket, with TLS if the first hop needs it."""
        context, name = (self._tls, self._hop.host) if self._hop.tls else (None, None)
        try:
            return await asyncio.get_running_loop().create_connection(new, sock=sock, ssl=context, server_hostname=name)
        except BaseException:
            sock.close()
            raise

    async def _start_tls(self, transport: asyncio.Transport, connection: Connection) -> Connection:
        """Shake hands with the endpoint inside the tunnel."""
        try:
            inner = await asyncio.get_running_loop().start_tls(
                transport, connection, self._tls, server_hostname=self.address.host
            )
        except BaseException:
            transport.abort()
            raise
        if inner is None:  # the connection was lost during the handshake
            raise ConnectionAbortedError
        connection.connection_made(inner)
        return connection

    @asynccontextmanager
    async def _phase(self, phase: Phase, peer: Address, deadline: float) -> AsyncIterator[None]:
        """Limit a phase, and turn whatever it raises into NotSentError."""
        until = min(deadline, asyncio.get_running_loop().time() + self._timeout)
        try:
            async with asyncio.timeout_at(until):
                yield
        except ProxyRefusedError as error:
            raise NotSentError(phase, peer.host, str(error)) from error
        except Exception as error:
            raise NotSentError(phase, peer.host, describe(error)) from error

"""Step Functions by https, behind an HTTP proxy that can fall silent."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from tests.support.tcp import ConnectProxy, forward, tcp_server
from tests.support.tls import self_signed


class Tunnel:
    """An https endpoint in front of the http one at `url`, and a proxy in front of that."""

    def __init__(self, url: str, folder: Path) -> None:
        self._target = urlsplit(url).port or 80
        self._certificate = self_signed(folder, "states.test")
        self._stack = AsyncExitStack()
        self.proxy = ConnectProxy()
        """The proxy."""
        self.url = ""
        """The https endpoint."""
        self.environment: dict[str, str] = {}
        """What makes the AWS SDK use the proxy and trust the endpoint."""

    async def __aenter__(self) -> Self:
        async def unwrap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await forward(reader, writer, self._target)

        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self._certificate)
        port = await self._stack.enter_async_context(tcp_server(unwrap, tls))
        proxy_port = await self._stack.enter_async_context(tcp_server(self.proxy))
        self.url = f"https://states.test:{port}"  # a name: this machine is never called through a proxy
        self.environment = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy_port}", "AWS_CA_BUNDLE": str(self._certificate)}
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

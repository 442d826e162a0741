"""The whole service in this process, as its command runs it: the composition root over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aioboto3
import aiohttp
from yarl import URL

from service.app import serve, settings
from service.app.aws import AwsAccess
from service.app.network import Network
from service.app.shutdown import Shutdown
from service.local import LocalAws
from tests.support.metrics import Scrape, scrape
from tests.support.processes import settings_for

NAMES = {"nome": "Ricardo", "sobrenome": "Marques"}


class Served:
    """A running service and a client for it."""

    def __init__(self, client: aiohttp.ClientSession, url: str, shutdown: Shutdown) -> None:
        self.client = client
        self.url = url
        self.shutdown = shutdown

    def post(self, **headers: str) -> asyncio.Task[tuple[int, dict[str, Any]]]:
        """POST an event; the result is the status and the body."""

        async def send() -> tuple[int, dict[str, Any]]:
            async with self.client.post(f"{self.url}/event", json=NAMES, headers=headers) as response:
                return response.status, await response.json(content_type=None)

        return asyncio.create_task(send())

    async def ready(self) -> None:
        """Wait until the instance may receive traffic."""
        await self.until(lambda metrics: metrics("link_up"))

    async def until(self, condition: Callable[[Scrape], Any]) -> Scrape:
        """Wait until the metrics meet a condition; return them."""
        async with asyncio.timeout(20):
            while not condition(metrics := await scrape(self.client, self.url)):
                pass
        return metrics


@asynccontextmanager
async def served(
    aws: LocalAws,
    changes: Mapping[str, str] | None = None,
    *,
    sfn_url: str | None = None,
    open_files: int = 0,
    client_host: str = "127.0.0.1",
) -> AsyncIterator[Served]:
    """Serve, with `changes` to the settings, until the block ends; `sfn_url` replaces the local Step Functions."""
    session = aioboto3.Session(aws_access_key_id="test", aws_secret_access_key="test")
    access = AwsAccess(session, Network.direct(), sfn_url or aws.url, open_files)
    shutdown, port = Shutdown(), asyncio.get_running_loop().create_future()
    config = settings.load(settings_for(aws) | dict(changes or {}))
    running = asyncio.create_task(serve.run(config, access, shutdown, port.set_result))
    try:
        await asyncio.wait([running, port], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=40)) as client:
            url = URL.build(scheme="http", host=client_host, port=port.result())
            made = Served(client, str(url), shutdown)
            await made.ready()
            yield made
    finally:
        shutdown.request()
        await running


async def until(condition: Callable[[], Any]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - for objects without events
            await asyncio.sleep(0.005)

"""Readiness, forced shutdown and the flush. tests/integration tests the rest, in separate processes."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest
from aiohttp import web
from yarl import URL

from service.app import shutdown
from service.app.serve import CannotStartError
from service.app.settings import SettingsError
from service.app.shutdown import Shutdown, flush
from service.local import LocalAws
from tests.support.served import served, until
from tests.support.within import within


async def test_a_request_sent_just_before_the_shutdown_is_answered() -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response()

    application = web.Application()
    application.router.add_get("/", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    reader, writer = await asyncio.open_connection(*runner.addresses[0])
    async with asyncio.timeout(10):
        while runner.server is None or not runner.server.connections:  # noqa: ASYNC110 - the server has no event to wait for
            await asyncio.sleep(0.01)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await flush(runner, Shutdown(), 1)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()
    await runner.cleanup()


async def test_a_request_in_flight_at_the_shutdown_gets_its_result() -> None:
    async with LocalAws(port=0, wait=0.5) as aws, served(aws, {"DRAIN_TIMEOUT": "10"}) as it:
        waiting = it.post()
        await until(lambda: aws.running)
        it.shutdown.request()
        async with within(8):
            assert (await waiting)[0] == 200


async def test_a_request_that_arrives_at_the_end_of_the_drain_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "LAST_READ_S", 1.0)
    async with LocalAws(port=0) as aws, served(aws) as it:
        reader, writer = await asyncio.open_connection("127.0.0.1", URL(it.url).port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        async with within(10):
            await reader.readuntil(b"}")
            it.shutdown.request()
            await asyncio.sleep(0.2)  # this test is about time
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 503 " in await reader.readline()
        writer.close()


DOCKERFILE = (Path(__file__).parents[2] / "Dockerfile").read_text()
HEALTH_CHECK = re.findall(r'HEALTHCHECK .*CMD \["python", "-S", "-c", "(.+?)"\]', DOCKERFILE, re.DOTALL)[0]


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("::", ["127.0.0.1", "::1"]),
        ("0::0", ["127.0.0.1", "::1"]),
        ("0.0.0.0", ["127.0.0.1", "127.0.0.2"]),
        ("::1", ["::1"]),
        ("127.0.0.2", ["127.0.0.2"]),
    ],
)
async def test_every_address_that_a_host_stands_for_is_served_and_the_health_check_fits(
    host: str, addresses: list[str]
) -> None:
    async with LocalAws(port=0) as aws, served(aws, {"HOST": host}, client_host=addresses[0]) as it:
        port = str(URL(it.url).port)
        for address in addresses:
            async with it.client.get(
                URL.build(scheme="http", host=address, port=int(port), path="/healthz")
            ) as response:
                assert response.status == 200
        check = HEALTH_CHECK.replace("\\\n", "")
        environment = {**os.environ, "HOST": host, "PORT": port}
        done = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", check, env=environment)
        async with within(10):
            assert await done.wait() == 0


@pytest.mark.parametrize(
    "host", ["x86_64-conda-linux-gnu", "no.such.host.invalid", "a..b", "192.0.2.1", "2001:db8::1", "[::]"]
)
async def test_a_host_that_is_no_address_of_this_machine_is_named_as_a_setting(host: str) -> None:
    async with LocalAws(port=0) as aws:
        with pytest.raises(SettingsError, match=f"^HOST: {re.escape(host)} is not an address"):
            async with served(aws, {"HOST": host}):
                pass


async def test_a_port_that_is_taken_is_named_as_a_setting() -> None:
    async with LocalAws(port=0) as aws:
        with pytest.raises(CannotStartError, match=r"^cannot listen on 127.0.0.1, port .* \(HOST, PORT\): "):
            async with served(aws, {"PORT": str(URL(aws.url).port)}):
                pass

"""The AWS SDK's settings hold for both connections of the service; those that cannot hold end its start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.local import LocalAws
from tests.support.credentials import CredentialsEndpoint, Fault
from tests.support.processes import command, local, running, service, settings_for
from tests.support.proxies import ForwardProxy, TlsFront
from tests.support.tls import self_signed, server_context

RICARDO = {"nome": "Ricardo", "sobrenome": "Marques"}
NAMES = ("states.test", "http.test", "realtime.test")
"""Names that only the proxy resolves."""


async def post(url: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http,
        http.post(f"{url}/event", json=RICARDO) as response,
    ):
        return response.status, await response.json(content_type=None)


@pytest.fixture
async def aws() -> AsyncIterator[LocalAws]:
    async with LocalAws(port=0, wait=0) as aws:
        yield aws


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"), *NAMES)


@pytest.mark.parametrize(
    ("bundle", "proxy"),
    [
        ("AWS_CA_BUNDLE", "http://user:p%40ss@127.0.0.1:{}"),
        ("profile", "127.0.0.1:{}"),
        ("REQUESTS_CA_BUNDLE", "127.0.0.1:{}"),
        ("SSL_CERT_FILE", "http://127.0.0.1:{}"),
    ],
)
async def test_both_connections_use_the_proxy_and_the_private_certificates(
    aws: LocalAws, certificate: Path, tmp_path: Path, bundle: str, proxy: str
) -> None:
    (tmp_path / "config").write_text(f"[default]\nca_bundle = {certificate}\n" if bundle == "profile" else "")
    async with (
        TlsFront(int(aws.url.rpartition(":")[2]), server_context(certificate)) as front,
        ForwardProxy(front.port) as between,
    ):
        env = {
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "AWS_ENDPOINT_URL_SFN": "https://states.test",
            "APPSYNC_HTTP_URL": "https://http.test/event",
            "APPSYNC_REALTIME_URL": "wss://realtime.test/event/realtime",
            "https_proxy": proxy.format(between.port),
            bundle: str(certificate),
        }
        async with service(aws, **env) as (_, url):
            assert (await post(url))[0] == 200
        assert set(between.asked) == {"states.test:443", "realtime.test:443"}
        assert between.users == {"user:p@ss" if "@" in proxy else None}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_CA_BUNDLE", "/no/such/file"),
        ("REQUESTS_CA_BUNDLE", "/"),
        ("SSL_CERT_FILE", "/dev/null"),
        ("HTTP_PROXY", "socks5://user:hunter2@proxy:1080"),
        ("http_proxy", "http://user:hunter2@proxy:port"),
        ("AWS_SESSION_TOKEN", "hunter2\n"),
        ("AWS_ACCESS_KEY_ID", "hunter2\n"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2 x"),
        ("AWS_DEFAULT_REGION", "us-east-1 "),
        ("AWS_ENDPOINT_URL_SFN", "https://user:hunter2@host:port"),
        ("APPSYNC_API_KEY", '"da2-hunter2"'),
    ],
)
async def test_what_cannot_be_used_ends_the_start_with_one_message_that_names_it(
    aws: LocalAws, name: str, value: str
) -> None:
    elsewhere = {"AWS_ENDPOINT_URL_SFN": "http://states.test", "AWS_CONFIG_FILE": "/dev/null"}
    async with command("service", "serve", env=settings_for(aws) | elsewhere | {name: value}) as process:
        assert await process.wait() == 2
        lines = [line for line in process.stderr if not line.startswith("{")]
        assert len([line for line in lines if name in line]) == 1
        assert "Traceback" not in "".join(lines)
        assert "hunter2" not in "".join(process.stderr)


@pytest.mark.parametrize(("fault", "auth"), [("hang", "api_key"), ("error", "iam")])
async def test_valid_credentials_are_used_while_their_source_fails(aws: LocalAws, fault: Fault, auth: str) -> None:
    async with CredentialsEndpoint() as endpoint:
        endpoint.valid_for_s = 12  # renewed after six seconds
        key = {} if auth == "api_key" else {"APPSYNC_API_KEY": ""}
        async with service(aws, APPSYNC_AUTH=auth, **key, **endpoint.environment) as (process, url):
            endpoint.fault = fault
            await endpoint.arrived(2)
            end = time.monotonic() + 2  # longer than any call may keep what it was given
            while time.monotonic() < end:
                assert (await post(url))[0] == 200
            await aws.drop_connections(1000)
            await process.until(lambda: sum(line["event"] == "link_up" for line in process.logs) == 2)


@pytest.mark.parametrize("fault", ["hang", "garbage"])  # tests/app/test_credentials.py has all of them
async def test_without_valid_credentials_a_post_is_503_unreachable_within_five_seconds(
    aws: LocalAws, fault: Fault
) -> None:
    async with CredentialsEndpoint() as endpoint:
        endpoint.valid_for_s = 3
        async with service(aws, **endpoint.environment) as (process, url):
            endpoint.fault = fault
            await asyncio.sleep(endpoint.expires_at - time.time())  # this test is about time
            began = time.monotonic()
            status, problem = await post(url)
            assert (status, problem["type"].rpartition(":")[2]) == (503, "unreachable")
            assert time.monotonic() - began < 5 + 1  # a busy machine
            assert "secret-of-the-endpoint" not in "".join(process.stderr)


IMPATIENT = """
import sys
from service.__main__ import main
from service.app import credentials
assert credentials.START_TIMEOUT_S == 15
credentials.START_TIMEOUT_S = 2.0
sys.argv = ["service", "serve"]
sys.exit(main())
"""


async def test_a_start_whose_credentials_do_not_come_ends_and_says_so(aws: LocalAws) -> None:
    async with CredentialsEndpoint() as endpoint:
        endpoint.fault = "hang"
        async with running("-c", IMPATIENT, env=settings_for(aws) | endpoint.environment) as process:
            assert await process.wait() == 1
            assert process.stderr[-1].startswith("AWS credentials cannot be read: not within 2 s: ")
            assert not aws.connections


@pytest.mark.parametrize(
    "names",
    [("http_proxy", "https_proxy", "no_proxy"), ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"), ("ALL_PROXY", "all_proxy")],
)
async def test_local_use_talks_to_itself_whatever_the_proxies_are(names: tuple[str, ...]) -> None:
    env = {name: "unrelated.test" if name.lower() == "no_proxy" else "http://127.0.0.1:9" for name in names}
    bundle = {"AWS_CA_BUNDLE": "/no/such/file", "REQUESTS_CA_BUNDLE": "/no/such/file"}
    async with local("--wait", "0", **env, **bundle) as (_, url):
        assert (await post(url))[0] == 200


async def test_local_use_ignores_a_socks_proxy() -> None:
    async with local("--wait", "0", http_proxy="socks5://127.0.0.1:9", no_proxy="unrelated.test") as (_, url):
        assert (await post(url))[0] == 200

"""Access to AWS: the SDK's settings apply."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

import aioboto3
import pytest
from aiohttp import web

from service.app.aws import AwsAccess
from service.stepfunctions import transport
from service.stepfunctions.arn import StateMachineArn
from service.stepfunctions.errors import NotSentError
from service.stepfunctions.transport import AwsJsonClient
from tests.support.step_functions import ScriptedStepFunctions, ok
from tests.support.tls import self_signed

LIST = ("ListStateMachines", {"maxResults": 1})


def state_machine_in(region: str) -> StateMachineArn:
    return StateMachineArn.parse(f"arn:aws:states:{region}:000000000000:stateMachine:event-workflow")


@asynccontextmanager
async def calls(
    url: str | None = None, session: aioboto3.Session | None = None, region: str = "eu-west-1"
) -> AsyncIterator[AwsJsonClient]:
    session = session or aioboto3.Session(aws_access_key_id="test", aws_secret_access_key="test")
    endpoint = await AwsAccess(session, url).step_functions(state_machine_in(region))
    async with AwsJsonClient(endpoint, "AWSStepFunctions", connect_timeout=1.0, response_timeout=0.5) as client:
        yield client


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_CA_BUNDLE", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def endpoint() -> AsyncIterator[ScriptedStepFunctions]:
    async with ScriptedStepFunctions() as scripted:
        scripted.script(LIST[0], ok(stateMachines=[]))
        yield scripted


class _SeenError(Exception):
    pass


async def url_of_the_sdk(session: aioboto3.Session, url: str | None, region: str) -> str:
    """Return where aioboto3 would send a call."""
    seen = []

    def see(request: Any, **_: Any) -> NoReturn:
        seen.append(request.url)
        raise _SeenError

    async with session.client("stepfunctions", region_name=region, endpoint_url=url) as client:
        client.meta.events.register("before-send.stepfunctions", see)
        with pytest.raises(_SeenError):
            await client.list_state_machines()
    return str(seen[0])


@pytest.mark.parametrize(
    ("region", "explicit", "environment", "profile"),
    [
        ("eu-west-1", None, {}, ""),
        ("cn-north-1", None, {}, ""),
        ("us-gov-west-1", None, {"AWS_USE_FIPS_ENDPOINT": "true"}, ""),
        ("us-east-1", None, {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true"}, ""),
        ("us-east-1", None, {"AWS_USE_DUALSTACK_ENDPOINT": "true"}, ""),
        ("us-east-1", None, {}, "use_fips_endpoint = true\n"),
        ("us-east-1", "http://127.0.0.1:1", {"AWS_ENDPOINT_URL_SFN": "http://127.0.0.1:2"}, ""),
        ("us-east-1", None, {"AWS_ENDPOINT_URL_SFN": "http://127.0.0.1:2", "AWS_ENDPOINT_URL": "http://h:3"}, ""),
        ("us-east-1", None, {"AWS_ENDPOINT_URL": "http://127.0.0.1:3/below/"}, ""),
        ("us-east-1", None, {}, "services = mine\n[services mine]\nsfn =\n  endpoint_url = https://own.example/\n"),
        (
            "us-east-1",
            None,
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:3", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
            "",
        ),
    ],
)
async def test_calls_go_where_the_sdk_would_send_them(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    region: str,
    explicit: str | None,
    environment: dict[str, str],
    profile: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "config").write_text(f"[default]\n{profile}")
    session = aioboto3.Session(aws_access_key_id="test", aws_secret_access_key="test")
    found = await AwsAccess(session, explicit).step_functions(state_machine_in(region))
    assert found.url == await url_of_the_sdk(session, explicit, region)
    assert found.signing_name == "states"


async def test_temporary_credentials_are_renewed_and_sent_with_their_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "CREDENTIALS_KEPT_S", 0.0)
    # Expired within minutes, so that the SDK asks for new ones before each call.
    script = tmp_path / "credentials.py"
    script.write_text(
        "import datetime, json, pathlib\n"
        f"path = pathlib.Path({str(tmp_path / 'count')!r})\n"
        "count = len(path.read_text()) if path.exists() else 0\n"
        "path.write_text('x' * (count + 1))\n"
        "soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=5)\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': f'AKID{count}', 'SecretAccessKey': f'secret{count}',\n"
        "                  'SessionToken': f'token{count}', 'Expiration': soon.isoformat()}))\n"
    )
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {sys.executable} {script}\n")
    seen = []

    async def respond(request: web.Request) -> web.Response:
        key = request.headers["Authorization"].partition("Credential=")[2].partition("/")[0]
        seen.append((key, request.headers["X-Amz-Security-Token"]))
        return web.json_response({})

    app = web.Application()
    app.router.add_post("/", respond)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with calls(f"http://127.0.0.1:{runner.addresses[0][1]}", aioboto3.Session()) as api:
        await api.call(*LIST)
        await api.call(*LIST)
    await runner.cleanup()
    assert seen == [("AKID1", "token1"), ("AKID2", "token2")]


@pytest.mark.parametrize("process", ["/bin/false", "/no/such/program"])
async def test_without_credentials_nothing_is_sent(
    endpoint: ScriptedStepFunctions, tmp_path: Path, process: str
) -> None:
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {process}\n")
    async with calls(endpoint.url, aioboto3.Session()) as api:
        with pytest.raises(NotSentError):
            await api.call(*LIST)
    assert endpoint.calls == []


async def test_credentials_that_appear_later_are_found(
    endpoint: ScriptedStepFunctions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with calls(endpoint.url, aioboto3.Session()) as api:
        with pytest.raises(NotSentError, match="NoCredentialsError"):
            await api.call(*LIST)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "late")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "late")
        assert await api.call(*LIST) == {"stateMachines": []}


class _Proxy:
    """Takes requests for http URLs, as a proxy gets them, and responds to all of them itself."""

    def __init__(self) -> None:
        self.requests: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(head.partition(b"\r\n")[0].decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()


@pytest.mark.parametrize(("no_proxy", "through"), [("", True), ("states.test", False)])
async def test_the_environments_proxy_is_used_except_for_hosts_in_no_proxy(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, through: bool
) -> None:
    proxy = _Proxy()
    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    async with server:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        monkeypatch.setenv("NO_PROXY", no_proxy)
        async with calls("http://states.test") as api:
            if through:
                assert await api.call(*LIST) == {}
            else:
                with pytest.raises(NotSentError):  # the name does not resolve
                    await api.call(*LIST)
    assert proxy.requests == (["POST http://states.test/ HTTP/1.1"] if through else [])


@pytest.mark.parametrize("by", ["environment", "profile"])
async def test_a_ca_bundle_of_the_sdks_settings_is_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, by: str
) -> None:
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def respond(request: web.Request) -> web.Response:
        return web.json_response({"got": json.loads(await request.read())})

    app = web.Application()
    app.router.add_post("/", respond)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    async with calls(url) as api:
        with pytest.raises(NotSentError, match="certificate"):
            await api.call(*LIST)
    if by == "environment":
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    else:
        (tmp_path / "config").write_text(f"[default]\nca_bundle = {certificate}\n")
    async with calls(url) as api:
        assert await api.call(*LIST) == {"got": LIST[1]}
    await runner.cleanup()

"""Access to AWS: the SDK's settings apply."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

import aioboto3
import pytest
from aiobotocore.config import AioConfig
from aiohttp import web
from botocore.exceptions import BotoCoreError

from service.app.aws import AwsAccess, sdk_access
from service.app.network import Network
from service.app.settings import SettingsError
from service.stepfunctions.arn import StateMachineArn
from service.stepfunctions.transport import AwsJsonClient
from tests.support.proxies import ForwardProxy, TlsFront
from tests.support.step_functions import ScriptedStepFunctions, ok
from tests.support.tls import self_signed, server_context

LIST = ("ListStateMachines", {"maxResults": 1})
ARN = StateMachineArn.parse("arn:aws:states:eu-west-1:000000000000:stateMachine:event-workflow")


@asynccontextmanager
async def calls(access: AwsAccess) -> AsyncIterator[AwsJsonClient]:
    endpoint = await access.step_functions(ARN.region)
    async with AwsJsonClient(endpoint, "AWSStepFunctions", connect_timeout=1.0, response_timeout=0.5) as client:
        yield client


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch, no_settings_of_this_machine: None) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


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
    arn = StateMachineArn.parse(f"arn:aws:states:{region}:000000000000:stateMachine:event-workflow")
    found = await AwsAccess(session, Network.direct(), explicit).step_functions(arn.region)
    assert found.url == await url_of_the_sdk(session, explicit, region)
    assert found.signing_name == "states"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"), "states.test", "secrets.test")


async def test_calls_go_through_the_proxy_and_trust_the_certificates_of_the_sdks_settings(
    monkeypatch: pytest.MonkeyPatch, stack: AsyncExitStack, endpoint: ScriptedStepFunctions, certificate: Path
) -> None:
    front = await stack.enter_async_context(TlsFront(int(endpoint.url.rpartition(":")[2]), server_context(certificate)))
    proxy = await stack.enter_async_context(ForwardProxy(front.port))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    monkeypatch.setenv("https_proxy", f"user:p%40ss@127.0.0.1:{proxy.port}")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SFN", "https://states.test")
    async with calls(await sdk_access(stack)) as api:
        assert await api.call(*LIST) == {"stateMachines": []}
    assert (proxy.asked, proxy.users) == (["states.test:443"], {"user:p@ss"})


@asynccontextmanager
async def secrets_manager(certificate: Path) -> AsyncIterator[int]:
    """Return every secret over TLS; yield the port."""

    async def respond(_: web.Request) -> web.Response:
        return web.Response(body=b'{"SecretString": "da2-secret"}', content_type="application/x-amz-json-1.1")

    app = web.Application()
    app.router.add_post("/", respond)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context(certificate)).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest.mark.parametrize("config", [None, AioConfig(connect_timeout=2)])
@pytest.mark.parametrize(
    ("host", "trusted", "read"),
    [
        ("127.0.0.1", True, True),
        ("127.0.0.1", False, False),
        ("localhost", True, False),  # in no name of the certificate
        ("secrets.test", True, True),  # this one and the next are found through the proxy alone
        ("secrets.test", False, False),
        ("other.test", True, False),
    ],
)
async def test_the_sdks_own_clients_check_certificates_and_names_with_and_without_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
    stack: AsyncExitStack,
    certificate: Path,
    config: AioConfig | None,
    host: str,
    *,
    trusted: bool,
    read: bool,
) -> None:
    port = await stack.enter_async_context(secrets_manager(certificate))
    proxy = await stack.enter_async_context(ForwardProxy(port))
    monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{proxy.port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    if trusted:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    session = (await sdk_access(stack)).session
    url = f"https://{host}:{port}"
    expected = contextlib.nullcontext() if read else pytest.raises(BotoCoreError)
    async with session.client("secretsmanager", region_name="eu-west-1", endpoint_url=url, config=config) as client:
        with expected:
            assert (await client.get_secret_value(SecretId="key"))["SecretString"] == "da2-secret"
    assert bool(proxy.asked) == host.endswith(".test")


@pytest.mark.parametrize("by", ["AWS_ENDPOINT_URL_SFN", "AWS_ENDPOINT_URL", "endpoint_url of the AWS profile"])
@pytest.mark.parametrize(
    "url", ["foo", "http://", "ftp://secret@host", "http://host:port", "https://ho st", "https://secret@host:99999"]
)
async def test_an_endpoint_that_is_no_url_is_refused_by_name_without_its_value(
    monkeypatch: pytest.MonkeyPatch, stack: AsyncExitStack, tmp_path: Path, by: str, url: str
) -> None:
    if by.isupper():
        monkeypatch.setenv(by, url)
    else:
        (tmp_path / "config").write_text(f"[default]\nendpoint_url = {url}\n")
    access = await sdk_access(stack)
    with pytest.raises(SettingsError, match=rf"^{by}: ") as refused:
        await access.step_functions(ARN.region)
    assert "secret" not in str(refused.value)


async def test_settings_that_only_secrets_manager_uses_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, stack: AsyncExitStack
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "https://host:port")
    access = await sdk_access(stack)
    with pytest.raises(SettingsError, match=r"^AWS_ENDPOINT_URL_SECRETS_MANAGER: "):
        await access.check_secrets_manager("eu-west-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL_SECRETS_MANAGER")
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy")
    with pytest.raises(SettingsError, match=r"^HTTPS_PROXY: "):
        await access.check_secrets_manager("eu-west-1")


@pytest.mark.parametrize("by", ["AWS_DEFAULT_REGION", "region of the AWS profile"])
async def test_a_region_with_a_blank_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, stack: AsyncExitStack, tmp_path: Path, by: str
) -> None:
    if by.isupper():
        monkeypatch.setenv(by, "eu-west-1 ")
    else:
        (tmp_path / "config").write_text("[default]\nregion = eu west 1\n")
    with pytest.raises(SettingsError, match=rf"^{by}: "):
        await sdk_access(stack)

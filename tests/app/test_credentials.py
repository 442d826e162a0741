"""The SDK's credentials while their source works, hangs and fails."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import AioSession
from structlog.testing import capture_logs

from service.app import credentials as module
from service.app.aws import sdk_access, sdk_credentials
from service.app.credentials import CredentialsUnavailableError, RenewedCredentials
from service.app.settings import SettingsError
from tests.support.credentials import CredentialsEndpoint, Fault
from tests.support.moto import moto_server

FAULTS: list[Fault] = ["hang", "drip", "error", "refuse", "garbage", "no member", "line break", "expired"]

pytestmark = pytest.mark.usefixtures("no_settings_of_this_machine")


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {
        "START_TIMEOUT_S": 20.0,  # an attempt may time out on a busy machine
        "ATTEMPT_TIMEOUT_S": 0.5,
        "MAX_WAIT_S": 0.3,
        "PAUSE_S": 0.05,
        "MAX_PAUSE_S": 0.05,
    }.items():
        monkeypatch.setattr(module, name, seconds)


@pytest.fixture
async def endpoint(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CredentialsEndpoint]:
    async with CredentialsEndpoint() as endpoint:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoint.url)
        yield endpoint


@pytest.fixture
def credentials() -> RenewedCredentials:
    return sdk_credentials(AioSession())


def expire(held: RenewedCredentials) -> None:
    """Let the credentials be ones that have just expired."""
    held._valid_until = held._refresh_at = time.time()


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 - nothing to wait for tells it
            await asyncio.sleep(0.02)


async def is_available(held: RenewedCredentials) -> bool:
    with contextlib.suppress(CredentialsUnavailableError):
        return bool(await key(held))
    return False


async def is_renewed(held: RenewedCredentials) -> bool:
    return await key(held) != "AKID1"


async def key(held: RenewedCredentials) -> str:
    return str((await held.get_frozen_credentials()).access_key)


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("valid_for", [300, 620, 6 * 3600])
@pytest.mark.parametrize("fault", FAULTS)
async def test_valid_credentials_are_used_at_once_while_their_source_fails(
    endpoint: CredentialsEndpoint, credentials: RenewedCredentials, fault: Fault, valid_for: float
) -> None:
    endpoint.valid_for_s = valid_for
    async with credentials:
        endpoint.fault = fault
        credentials._refresh_at = time.time()
        await endpoint.arrived(3)
        began = time.monotonic()
        assert {await key(credentials) for _ in range(20)} == {"AKID1"}
        assert time.monotonic() - began < 3  # each would wait for 0.3 s
    assert endpoint.most_under_way == 1


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("fault", FAULTS)
async def test_without_valid_credentials_a_call_fails_soon_until_the_source_works_again(
    endpoint: CredentialsEndpoint, credentials: RenewedCredentials, fault: Fault
) -> None:
    async with credentials:
        endpoint.fault = fault
        expire(credentials)
        began = time.monotonic()
        results = await asyncio.gather(*(key(credentials) for _ in range(20)), return_exceptions=True)
        assert {type(result) for result in results} == {CredentialsUnavailableError}
        assert time.monotonic() - began < 0.3 + 5
        endpoint.fault = None
        await eventually(lambda: is_available(credentials))
    assert endpoint.most_under_way == 1


async def test_all_calls_that_wait_get_the_credentials_of_one_attempt(
    endpoint: CredentialsEndpoint, credentials: RenewedCredentials
) -> None:
    async with credentials:
        expire(credentials)
        assert set(await asyncio.gather(*(key(credentials) for _ in range(20)))) == {"AKID2"}
    assert endpoint.requests == 2


@pytest.mark.parametrize(
    ("valid_for", "ahead"), [(6 * 3600, 900), (1000, 500), (300, 150)], ids=["hours", "minutes", "five minutes"]
)
async def test_credentials_are_renewed_a_quarter_of_an_hour_ahead_or_in_the_second_half_of_a_short_life(
    endpoint: CredentialsEndpoint, credentials: RenewedCredentials, valid_for: float, ahead: float
) -> None:
    endpoint.valid_for_s = valid_for
    async with credentials:
        assert credentials._valid_until - credentials._refresh_at == pytest.approx(ahead, abs=5)
        assert endpoint.requests == 1  # the SDK itself would ask a second time for those of five minutes


async def test_a_cancelled_call_does_not_end_the_attempt_of_the_others(
    endpoint: CredentialsEndpoint, credentials: RenewedCredentials
) -> None:
    async with credentials:
        endpoint.fault = "drip"
        expire(credentials)
        first, second = (asyncio.create_task(key(credentials)) for _ in range(2))
        await endpoint.arrived(2)
        first.cancel()
        await asyncio.wait([first])
        assert not second.done()
        second.cancel()


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("hang", "no response within 0.5 s"),
        ("error", "CredentialRetrievalError (container-role)"),
        ("garbage", "CredentialRetrievalError (container-role)"),
        ("no member", "KeyError"),
        (
            "line break",
            "session token: is missing, or contains a blank, line break or other character that cannot be sent",
        ),
        ("expired", "they have expired already"),
    ],
)
async def test_a_failed_renewal_is_logged_once_a_minute_by_its_reason_without_any_secret(
    endpoint: CredentialsEndpoint, credentials: RenewedCredentials, fault: Fault, reason: str, monkeypatch: Any
) -> None:
    if fault in {"error", "garbage"}:
        monkeypatch.setattr(module, "ATTEMPT_TIMEOUT_S", 20)  # the SDK's three attempts take four seconds
    with capture_logs() as logs:
        async with credentials:
            endpoint.fault = fault
            credentials._refresh_at = time.time()
            await endpoint.arrived(5)
            endpoint.fault = None
            await eventually(lambda: is_renewed(credentials))
    (failed, renewed) = logs
    assert (failed["event"], failed["reason"]) == ("credentials_refresh_failed", reason)
    assert failed["valid_for"] == pytest.approx(6 * 3600, abs=60)
    assert renewed["event"] == "credentials_refreshed"
    assert "secret" not in str(logs)


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_start_without_credentials_ends_in_time_and_says_why(
    endpoint: CredentialsEndpoint, credentials: RenewedCredentials, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "START_TIMEOUT_S", 1.0)
    endpoint.fault = fault
    with pytest.raises(CredentialsUnavailableError, match="not within 1 s: ") as ended:
        await credentials.__aenter__()
    assert "secret" not in str(ended.value)


@pytest.mark.usefixtures("_quick")
async def test_a_source_that_fails_once_does_not_end_the_start(
    endpoint: CredentialsEndpoint, credentials: RenewedCredentials
) -> None:
    endpoint.fault = "no member"
    opening = asyncio.create_task(credentials.__aenter__())
    await endpoint.arrived(1)
    endpoint.fault = None
    assert await key(await opening)
    await credentials.__aexit__()


SECRET = "not-to-be-shown"
NAMES = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
BLANK, ACCENT = f"{SECRET} x", f"{SECRET}\u00e9"


@pytest.mark.parametrize("broken", [0, 1, 2])
@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("environment", f"{SECRET}\n"),
        ("environment", f"{SECRET}\r\nX: y"),
        ("environment", f"\t{SECRET}"),
        ("environment", BLANK),
        ("environment", ACCENT),
        ("credentials", BLANK),
        ("credentials", ACCENT),
        ("config", BLANK),
    ],
)
async def test_credentials_that_cannot_be_sent_are_refused_at_the_start_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str, value: str, broken: int
) -> None:
    values = {name: value if number == broken else "x" for number, name in enumerate(NAMES)}
    name = NAMES[broken] if place == "environment" else NAMES[broken].lower()
    if place == "environment":
        for variable, text in values.items():
            monkeypatch.setenv(variable, text)
    else:
        lines = [f"{variable.lower()} = {text}" for variable, text in values.items()]
        (tmp_path / place).write_text("\n".join(["[default]", *lines]), encoding="utf-8")
    async with AsyncExitStack() as stack:
        with pytest.raises(SettingsError, match=rf"^AWS credentials: {name}: ") as refused:
            await sdk_access(stack)
    assert SECRET not in str(refused.value)


ROLE = "role_arn = arn:aws:iam::123456789012:role/front\n"
KEYS = "aws_access_key_id = x\naws_secret_access_key = y\n"


@pytest.mark.parametrize(
    ("profile", "variable", "named"),
    [
        ("", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE: /no/such/token: No such file"),
        (f"{ROLE}web_identity_token_file = /no/such/token\n", "", "a file of the AWS profile: /no/such/token: No such"),
        (f"{ROLE}web_identity_token_file = /\n", "", "a file of the AWS profile: /: Is a directory"),
        (f"{ROLE}web_identity_token_file = {{python}}\n", "", "credential_process, or a file of the SDK: "),
        ("credential_process = /bin/echo nonsense\n", "", "credential_process, or a file of the SDK: "),
        ("credential_process = /bin/echo []\n", "", "credential_process, or a file of the SDK: "),
        (f"{ROLE}source_profile = base\nmfa_serial = x\n[profile base]\n{KEYS}", "", "mfa_serial of the AWS profile: "),
        ("credential_process = /no/such/program x\n", "", "(credential_process|a file of the AWS profile): .*No such"),
    ],
)
async def test_a_file_or_program_that_cannot_be_used_is_refused_at_the_start_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, profile: str, variable: str, named: str
) -> None:
    (tmp_path / "config").write_text(f"[default]\n{profile.format(python=sys.executable)}", encoding="utf-8")
    if variable:
        monkeypatch.setenv(variable, "/no/such/token")
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/front")
    async with AsyncExitStack() as stack:
        with pytest.raises(SettingsError, match=f"^AWS credentials: {named}"):
            await sdk_access(stack)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "example.com"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Secret\n"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", sys.executable),
    ],
)
async def test_a_setting_of_a_container_that_cannot_be_used_is_refused_at_the_start_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/")
    monkeypatch.setenv(name, value)
    async with AsyncExitStack() as stack:
        with pytest.raises(SettingsError, match=f"^AWS credentials: .*{name}.*: its content") as refused:
            await sdk_access(stack)
    assert "Secret" not in str(refused.value)


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("missing", ["AccessKeyId", "SecretAccessKey"])
async def test_a_program_that_prints_no_key_gives_no_credentials(tmp_path: Path, missing: str) -> None:
    printed = json.dumps({"Version": 1, "AccessKeyId": "x", "SecretAccessKey": "y"} | {missing: None})
    (tmp_path / "printed").write_text(printed)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = /bin/cat {tmp_path}/printed\n")
    async with AsyncExitStack() as stack:
        with pytest.raises(CredentialsUnavailableError, match="key: is missing"):
            await sdk_access(stack)


@pytest.mark.usefixtures("_quick")
async def test_a_program_that_fails_is_named_when_the_start_ends(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[default]\ncredential_process = /bin/false\n", encoding="utf-8")
    async with AsyncExitStack() as stack:
        with pytest.raises(CredentialsUnavailableError, match="credential_process"):
            await sdk_access(stack)


@pytest.mark.parametrize(
    "profile",
    [
        f"{ROLE}source_profile = base\n[profile base]\naws_access_key_id = x\naws_secret_access_key = y\n",
        f"{ROLE}web_identity_token_file = {{folder}}/token\n",
        "credential_process = {python} {folder}/process.py\n",
    ],
    ids=["role", "web identity", "process"],
)
async def test_temporary_credentials_of_other_sources_are_read_and_renewed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, profile: str
) -> None:
    (tmp_path / "token").write_text("token")
    (tmp_path / "process.py").write_text(
        "import datetime, json, os\n"
        "end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=5)\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': f'A{os.getpid()}', 'SecretAccessKey': 's',\n"
        "                  'SessionToken': 't', 'Expiration': end.isoformat()}))\n"
    )
    (tmp_path / "config").write_text("[default]\n" + profile.format(python=sys.executable, folder=tmp_path))
    with moto_server() as moto:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        async with AsyncExitStack() as stack:
            session = (await sdk_access(stack)).session
            held: Any = await session.get_credentials()  # type: ignore[misc]  # a coroutine in fact
            first = await key(held)
            assert 200 < held._valid_until - time.time() < 3700
            assert await held._refresh() is None
            assert await key(held) != first

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from service.appsync import AuthorizerError, Link, LinkEvent, LinkEventKind, secrets_manager
from service.appsync.secrets_manager import SecretsManagerApiKey
from service.local import LocalAws
from tests.support.moto import REGION, async_session, moto_server, sync_client


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def secret(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    # The service leaves endpoints to the SDK, and this variable sets the SDK's.
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", moto)
    client = sync_client("secretsmanager", moto)
    arn = client.create_secret(Name="key", SecretString="da2-first")["ARN"]

    def put(text: str) -> str:
        client.put_secret_value(SecretId="key", SecretString=text)
        return str(arn)

    yield put
    client.delete_secret(SecretId="key", ForceDeleteWithoutRecovery=True)


def authorizer(name: str = "key", region: str = REGION) -> SecretsManagerApiKey:
    return SecretsManagerApiKey("https://api.example.com/event", async_session(), name, region)


async def test_the_key_is_read_from_its_secret_once_and_again_after_a_refusal(
    secret: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = authorizer()
    assert await key.connect() == {"host": "api.example.com", "x-api-key": "da2-first"}
    await asyncio.to_thread(secret, "da2-second\n")
    assert (await key.subscribe("/ns/x"))["x-api-key"] == "da2-first"
    first = await key.refresh()
    assert (await key.publish("/ns/x", ["{}"]))["x-api-key"] == "da2-first"  # it was read a moment ago
    monkeypatch.setattr(secrets_manager, "MIN_READ_INTERVAL_S", 0)
    assert first != await key.refresh()
    assert (await key.publish("/ns/x", ["{}"]))["x-api-key"] == "da2-second"


async def test_a_link_finds_a_rotated_key_within_seconds_even_if_the_old_one_was_revoked_first(secret: Any) -> None:
    refused = asyncio.Event()

    def on_change(event: LinkEvent) -> None:
        if event.kind is LinkEventKind.REFUSED and event.attempt > 1:  # from the second in a row, retries are slow
            refused.set()

    async with LocalAws(port=0) as aws:
        aws._events._api_key = "da2-first"
        key = SecretsManagerApiKey(aws.http_url, async_session(), "key", REGION)
        async with Link(aws.realtime_url, key, on_link_event=on_change) as link:
            subscription = link.subscribe(f"/{aws.namespace}/*", print)
            assert await subscription.wait_live(20)
            aws._events._api_key = "da2-rotated"
            await aws.drop_connections(1000)
            async with asyncio.timeout(20):
                await refused.wait()
            await asyncio.to_thread(secret, "da2-rotated")
            assert await subscription.wait_live(20)  # less than the 30 s between attempts with the same key


async def test_the_key_may_be_a_member_of_a_json_secret(secret: Any) -> None:
    await asyncio.to_thread(secret, '{"api_key": "da2-third"}')
    assert (await authorizer().connect())["x-api-key"] == "da2-third"


async def test_a_secret_given_by_its_arn_is_read_in_the_arns_region(secret: Any) -> None:
    arn = await asyncio.to_thread(secret, "da2-fourth")
    assert (await authorizer(arn, "us-west-2").connect())["x-api-key"] == "da2-fourth"


@pytest.mark.parametrize("text", [" da2-fifth\n", '\n{"api_key": "da2-fifth\\n"}\n'])
async def test_blanks_and_line_breaks_in_a_secret_are_not_part_of_the_key(secret: Any, text: str) -> None:
    await asyncio.to_thread(secret, text)
    assert (await authorizer().connect())["x-api-key"] == "da2-fifth"


NO_KEYS = [
    '{"other": "hunter2"}',
    '{"api_key": 1}',
    '{"hunter2',
    '"da2-hunter2"',
    '{"api_key": "\'hunter2\'"}',
    "hunter2 x",
]


@pytest.mark.parametrize("text", NO_KEYS)
async def test_a_secret_without_a_key_is_named_in_the_links_events_and_read_again(secret: Any, text: str) -> None:
    await asyncio.to_thread(secret, text)
    reported: asyncio.Queue[LinkEvent] = asyncio.Queue()
    key = authorizer()
    async with LocalAws(port=0) as aws, Link(aws.realtime_url, key, on_link_event=reported.put_nowait):
        async with asyncio.timeout(20):
            failed = await reported.get()
    assert failed.kind is LinkEventKind.CONNECT_FAILED
    assert failed.reason.startswith("the secret key ")
    assert "hunter2" not in failed.reason
    with pytest.raises(AuthorizerError):
        await key.refresh()


async def test_a_secret_that_does_not_exist_is_reported_by_the_action_and_its_error(secret: Any) -> None:
    reported: asyncio.Queue[LinkEvent] = asyncio.Queue()
    async with (
        LocalAws(port=0) as aws,
        Link(aws.realtime_url, authorizer("no-such-key"), on_link_event=reported.put_nowait),
        asyncio.timeout(20),
    ):
        event = await reported.get()
    assert (
        event.reason == "the authorizer failed with ResourceNotFoundException GetSecretValue ResourceNotFoundException"
    )

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aioboto3
import pytest
from aiobotocore.credentials import AioRefreshableCredentials
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import NoCredentialsError

from service.appsync import Link, LinkEventKind, Publisher, Renewal, publish_body
from service.appsync.iam import Iam
from service.local import LocalAws

from .conftest import SHORT_BACKOFF, TIMEOUTS, remains
from .scripted_server import acknowledge, confirm, refuse
from .sigv4 import is_signed, signed_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .conftest import Changes, Inbox, LinkFactory
    from .scripted_server import Message, Peer, ScriptedServer

HOST = "abc.appsync-api.eu-west-1.amazonaws.com"
URL = f"https://{HOST}/event"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
DOCUMENTED = {"accept", "content-encoding", "content-type", "host", "x-amz-date", "Authorization"}


class Session:
    """An SDK session whose credentials the test sets."""

    def __init__(self, access_key: str = "AKIDEXAMPLE", token: str | None = None) -> None:
        self.frozen: ReadOnlyCredentials | None = ReadOnlyCredentials(access_key, SECRET, token)

    async def get_credentials(self) -> Session | None:
        return self if self.frozen else None

    async def get_frozen_credentials(self) -> ReadOnlyCredentials | None:
        return self.frozen


def is_valid(headers: Mapping[str, str], body: bytes, access_key: str = "AKIDEXAMPLE") -> bool:
    return is_signed(headers, body, scope="eu-west-1/appsync", access_key=access_key, secret_key=SECRET, path="/event")


@pytest.mark.parametrize(
    ("more", "body", "signature"),
    [
        ({}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            {"content-type": "application/x-www-form-urlencoded"},
            b"Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ],
)
def test_the_verifier_in_these_tests_agrees_with_the_published_test_suite(
    more: dict[str, str], body: bytes, signature: str
) -> None:
    names = ";".join(sorted({"host", "x-amz-date", *more}))
    credential = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
    headers = more | {
        "host": "example.amazonaws.com",
        "x-amz-date": "20150830T123600Z",
        "authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}",
    }
    options = {"scope": "us-east-1/service", "access_key": "AKIDEXAMPLE", "secret_key": SECRET, "path": "/"}
    assert is_signed(headers, body, **options)
    assert not is_signed(headers, body + b" ", **options)
    assert not is_signed(headers | {"host": "example.com"}, body, **options)


@pytest.mark.parametrize("token", [None, "a-session-token"])
async def test_each_signature_covers_its_own_body_and_the_documented_headers(token: str | None) -> None:
    iam = Iam(URL, Session(token=token), "us-east-1")
    events = ['{"a":"ü/<>&"}', "2"]
    for headers, body in [
        (await iam.connect(), b"{}"),
        (await iam.subscribe("/ns/*"), b'{"channel":"/ns/*"}'),
        (await iam.publish("/ns/a", events), publish_body("/ns/a", events)),
    ]:
        assert is_valid(headers, body)
        assert not is_valid(headers, body + b" ")
        assert set(headers) == DOCUMENTED | ({"x-amz-security-token"} if token else set())
        assert signed_names(headers) == {name.lower() for name in set(headers) - {"Authorization"}}
        assert headers["host"] == HOST
        assert headers.get("x-amz-security-token") == token
        signed_at = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        assert abs(datetime.now(UTC) - signed_at) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("url", "region"),
    [
        (URL, "eu-west-1"),
        ("https://abc.appsync-api.cn-north-1.amazonaws.com.cn/event", "cn-north-1"),
        ("https://events.example.com/event", "us-east-1"),
        ("http://127.0.0.1:4566/event", "us-east-1"),
    ],
)
async def test_the_region_comes_from_the_endpoint_or_else_from_the_argument(url: str, region: str) -> None:
    iam = Iam(url, Session(), "us-east-1")
    assert f"/{region}/appsync/aws4_request" in (await iam.connect())["Authorization"]
    assert repr(iam) == f"Iam(host={iam._host!r}, region={region!r})"


async def test_signatures_use_the_current_credentials() -> None:
    session = Session()
    iam = Iam(URL, session, "")
    first = await iam.refresh()
    assert is_valid(await iam.connect(), b"{}")
    session.frozen = ReadOnlyCredentials("AKIDROTATED", SECRET, "token")
    assert is_valid(await iam.subscribe("/ns/a"), b'{"channel":"/ns/a"}', "AKIDROTATED")
    assert first != await iam.refresh()
    assert await iam.refresh() == await iam.refresh()
    session.frozen = None
    with pytest.raises(NoCredentialsError):
        await iam.connect()


async def test_expiring_credentials_are_renewed_before_signing() -> None:
    numbers = iter(range(100))

    async def renew() -> dict[str, Any]:
        # So close to the expiry that the SDK renews the credentials at each use.
        end = datetime.now(UTC) + timedelta(minutes=5)
        number = next(numbers)
        return {"access_key": f"AKID{number}", "secret_key": SECRET, "token": "t", "expiry_time": end.isoformat()}

    credentials = AioRefreshableCredentials.create_from_metadata(await renew(), renew, "test")

    class Expiring:
        async def get_credentials(self) -> AioRefreshableCredentials:
            return credentials

    iam = Iam(URL, Expiring(), "")
    assert is_valid(await iam.connect(), b"{}", "AKID1")
    assert is_valid(await iam.connect(), b"{}", "AKID2")


async def test_connections_and_subscriptions_are_signed_again_on_every_connection(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, inbox: Inbox
) -> None:
    async def check_connect(peer: Peer, message: Message) -> None:
        fine = is_valid(peer.authorization, b"{}")
        await (acknowledge if fine else refuse("connection_error", "BadRequestException"))(peer, message)

    async def check_subscribe(peer: Peer, message: Message) -> None:
        fine = is_valid(
            message["authorization"], json.dumps({"channel": message["channel"]}, separators=(",", ":")).encode()
        )
        await (confirm if fine else refuse("subscribe_error", "BadRequestException"))(peer, message)

    server.on.update(connection_init=check_connect, subscribe=check_subscribe)
    renewal = Renewal(earliest=0.1, latest=0.1, overlap=0.1)
    link = make_link(authorizer=Iam(URL, Session(token="token"), ""), renewal=renewal)
    one, two = link.subscribe("default/1", inbox), link.subscribe("/default/*", inbox)
    assert await one.wait_live(10)
    assert await two.wait_live(10)
    await changes.until(LinkEventKind.RENEWED)
    assert changes.of(LinkEventKind.REFUSED) == changes.of(LinkEventKind.SUBSCRIPTION_REFUSED) == []


async def test_a_link_without_credentials_waits_for_them(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    session = Session()
    frozen, session.frozen = session.frozen, None
    subscription = make_link(authorizer=Iam(URL, session, "")).subscribe("/default/*", print)
    failed = await changes.until(LinkEventKind.CONNECT_FAILED)
    assert failed.reason == "the authorizer failed with NoCredentialsError"
    session.frozen = frozen
    assert await subscription.wait_live(10)


async def test_the_local_aws_accepts_a_session_of_the_sdk(changes: Changes, inbox: Inbox) -> None:
    session = aioboto3.Session(aws_access_key_id="any", aws_secret_access_key="any", aws_session_token="any")
    async with LocalAws(port=0) as aws:
        iam = Iam(aws.http_url, session, aws.region)
        async with (
            Link(aws.realtime_url, iam, on_link_event=changes, timeouts=TIMEOUTS, backoff=SHORT_BACKOFF) as link,
            Publisher(aws.http_url, iam) as publisher,
        ):
            assert await link.subscribe(f"/{aws.namespace}/*", inbox).wait_live(10)
            await publisher.publish(f"/{aws.namespace}/a", ['"<ü>"'])
            await inbox.until('"<ü>"')
    assert remains() == []

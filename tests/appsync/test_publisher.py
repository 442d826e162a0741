from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

from service.appsync import (
    ApiKey,
    ChannelError,
    FailedEvent,
    Publisher,
    PublishError,
    PublishRefusedError,
    PublishResult,
    PublishUnconfirmedError,
    publish_body,
)

from .conftest import KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from aiohttp.test_utils import TestServer
    from pytest_aiohttp import AiohttpServer


class Endpoint:
    """An HTTP endpoint that records requests and sends scripted responses."""

    def __init__(self) -> None:
        self.responses: list[tuple[int, object]] = []
        self.requests: list[tuple[web.Request, bytes]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append((request, await request.read()))
        status, body = self.responses.pop(0)
        if status == 0:
            await asyncio.sleep(3600)
        headers = {"Location": self.url} if status == 307 else {}
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, headers=headers)


class Signer(ApiKey):
    """An authorizer that signs its own content type and counts how often it is refreshed."""

    refreshed = 0

    async def publish(self, channel: str, events: Sequence[str]) -> dict[str, str]:
        signed = str(len(publish_body(channel, events)))
        return {"X-Api-Key": KEY, "Content-Type": "application/json; charset=UTF-8", "X-Signed": signed}

    async def refresh(self) -> int:
        self.refreshed += 1
        return 0


@pytest.fixture
async def endpoint(aiohttp_server: AiohttpServer) -> Endpoint:
    endpoint = Endpoint()
    app = web.Application()
    app.router.add_post("/event", endpoint.handle)
    server: TestServer = await aiohttp_server(app)
    endpoint.url = str(server.make_url("/event"))
    return endpoint


@pytest.fixture
async def publisher(endpoint: Endpoint) -> AsyncIterator[Publisher]:
    async with Publisher(endpoint.url, ApiKey(endpoint.url, KEY)) as publisher:
        yield publisher


def success(*indexes: int, failed: Sequence[dict[str, Any]] = ()) -> tuple[int, object]:
    return 200, {"successful": [{"identifier": "x", "index": i} for i in indexes], "failed": list(failed)}


async def test_events_are_published_as_json_text(endpoint: Endpoint, publisher: Publisher) -> None:
    endpoint.responses.append(success(0, 1))
    result = await publisher.publish("default/a", ['{"a":1}', '"ü"'])
    assert result == PublishResult(successful=(0, 1), failed=())
    ((request, body),) = endpoint.requests
    assert body == '{"channel":"/default/a","events":["{\\"a\\":1}","\\"ü\\""]}'.encode()
    assert request.headers["x-api-key"] == KEY
    assert request.content_type == "application/json"


async def test_failed_events_have_code_and_message(endpoint: Endpoint, publisher: Publisher) -> None:
    failed = [
        {"identifier": "y", "index": 1, "code": "EventTooLargeException", "message": "too large"},
        {"identifier": "z", "index": 2, "code": 401},
        {"code": [], "message": 3, "index": "x"},
        "odd",
    ]
    endpoint.responses.append(success(0, failed=failed))  # type: ignore[arg-type]  # the last one is malformed on purpose
    result = await publisher.publish("/default/a", ["1", "2", "3"])
    assert result.successful == (0,)
    assert result.failed == (
        FailedEvent(1, "EventTooLargeException", "too large"),
        FailedEvent(2, 401, None),
        FailedEvent(-1, None, None),
    )


@pytest.mark.parametrize(
    ("status", "body", "error_type"),
    [
        (400, {"errors": [{"errorType": "BadRequestException", "message": "names a secret"}]}, "BadRequestException"),
        (404, {"errors": [{"errorType": "ResourceNotFoundException"}]}, "ResourceNotFoundException"),
        (500, "not JSON", None),
        (502, [], None),
        (200, {}, None),
        (200, "[]", None),
        (307, {}, None),
    ],
)
async def test_any_other_response_raises_with_status_and_type(
    endpoint: Endpoint, publisher: Publisher, status: int, body: object, error_type: str | None
) -> None:
    endpoint.responses.append((status, body))
    with pytest.raises(PublishError) as caught:
        await publisher.publish("/default/a", ["1"])
    assert type(caught.value) is PublishError
    assert (caught.value.status, caught.value.error_type) == (status, error_type)
    assert "secret" not in str(caught.value) + repr(caught.value)
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_are_refreshed_once(endpoint: Endpoint, status: int) -> None:
    refusal: tuple[int, object] = (status, {"errors": [{"errorType": "UnauthorizedException"}]})
    authorizer = Signer(endpoint.url, KEY)
    async with Publisher(endpoint.url, authorizer) as publisher:
        endpoint.responses[:] = [refusal, success(0)]
        assert (await publisher.publish("/default/a", ["1"])).successful == (0,)
        assert authorizer.refreshed == 1
        endpoint.responses[:] = [refusal, refusal]
        with pytest.raises(PublishRefusedError, match="UnauthorizedException"):
            await publisher.publish("/default/a", ["1"])
        assert authorizer.refreshed == 2
    assert len(endpoint.requests) == 4


async def test_a_signed_content_type_replaces_the_default_and_the_signed_body_is_sent(endpoint: Endpoint) -> None:
    endpoint.responses.append(success(0))
    async with Publisher(endpoint.url, Signer(endpoint.url, KEY)) as publisher:
        await publisher.publish("/default/a", ["1"])
    ((request, body),) = endpoint.requests
    assert request.headers.getall("Content-Type") == ["application/json; charset=UTF-8"]
    assert request.headers["X-Signed"] == str(len(body))


async def test_a_missing_response_raises(endpoint: Endpoint) -> None:
    endpoint.responses.append((0, None))
    async with Publisher(endpoint.url, ApiKey(endpoint.url, KEY), timeout=0.2) as publisher:
        with pytest.raises(PublishUnconfirmedError, match=r"0\.2 s"):
            await publisher.publish("/default/a", ["1"])


async def test_an_unreachable_endpoint_raises() -> None:
    async with Publisher("http://127.0.0.1:9/event", ApiKey("http://127.0.0.1:9/event", KEY)) as publisher:
        with pytest.raises(PublishUnconfirmedError, match="ClientConnectorError") as caught:
            await publisher.publish("/default/a", ["1"])
    assert (caught.value.status, caught.value.error_type) == (0, None)


@pytest.mark.parametrize("events", [[], ["1"] * 6])
async def test_a_publish_request_takes_one_to_five_events(publisher: Publisher, events: list[str]) -> None:
    with pytest.raises(ValueError, match="1 to 5"):
        await publisher.publish("/default/a", events)


async def test_publishing_to_a_wildcard_is_refused(publisher: Publisher) -> None:
    with pytest.raises(ChannelError):
        await publisher.publish("/default/*", ["1"])


async def test_a_session_passed_in_stays_open(endpoint: Endpoint) -> None:
    endpoint.responses.append(success(0))
    async with aiohttp.ClientSession() as session:
        async with Publisher(endpoint.url, ApiKey(endpoint.url, KEY), session=session) as publisher:
            await publisher.publish("/default/a", ["1"])
        assert not session.closed


async def test_a_publisher_can_be_closed_twice_and_unused(endpoint: Endpoint) -> None:
    publisher = Publisher(endpoint.url, ApiKey(endpoint.url, KEY))
    await publisher.close()
    endpoint.responses.append(success(0))
    await publisher.publish("/default/a", ["1"])
    await publisher.close()
    await publisher.close()


def test_a_url_that_is_not_http_is_refused() -> None:
    with pytest.raises(ValueError, match="HTTP endpoint"):
        Publisher("wss://example.com/event", ApiKey("https://example.com/event", KEY))

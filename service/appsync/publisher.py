"""Publishing over HTTP.

From the AWS AppSync Events developer guide, "Publish events via HTTP". HTTP rather than the WebSocket, because a
connection may carry no more than 25 publish requests per second (AWS General Reference, "AWS AppSync endpoints and
quotas").
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import orjson

from .auth import http_host
from .channels import for_publish
from .errors import PublishError, PublishRefusedError, PublishUnconfirmedError
from .protocol import error_details

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from .auth import Authorizer

MAX_EVENTS_PER_REQUEST = 5
"""The service's limit for one publish request."""


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """An event that the service accepted but did not publish."""

    index: int
    """Its position in the request, from 0; -1 if the service gave none."""

    code: str | int | None
    """The reason, as a name or a number."""

    message: str | None
    """The service's description."""


@dataclass(frozen=True, slots=True)
class PublishResult:
    """The outcome of a request, by event."""

    successful: tuple[int, ...]
    """The positions of the events that were published."""

    failed: tuple[FailedEvent, ...]


def publish_body(channel: str, events: Sequence[str]) -> bytes:
    """Return the request's body exactly as it is sent, which is what a signature has to cover."""
    return orjson.dumps({"channel": channel, "events": list(events)})


class Publisher:
    """Publishes over HTTP.

    `http_url` is the API's HTTP endpoint, `https://.../event`; `timeout` limits one `publish`, in seconds. A
    `session` that is passed in stays open; otherwise the publisher makes its own.

    Raises ValueError for a URL that is not HTTP or has no host.
    """

    def __init__(
        self,
        http_url: str,
        authorizer: Authorizer,
        *,
        session: aiohttp.ClientSession | None = None,
        timeout: float = 5.0,
    ) -> None:
        http_host(http_url)
        self._url = http_url
        self._authorizer = authorizer
        self._session = session
        self._owns_session = session is None
        self._timeout = timeout

    async def publish(self, channel: str, events: Sequence[str]) -> PublishResult:
        """Publish one to five events, each the text of one JSON value, to a channel.

        If the credentials are refused, they are read again for one more attempt. Raises ChannelError for an invalid
        channel, ValueError for any other number of events, PublishRefusedError for credentials (or a namespace that
        does not exist), PublishUnconfirmedError without a response in time, PublishError for any other response, and
        whatever the authorizer raises.
        """
        if not 1 <= len(events) <= MAX_EVENTS_PER_REQUEST:
            raise ValueError(f"a publish request takes 1 to {MAX_EVENTS_PER_REQUEST} events")
        path = for_publish(channel)
        try:
            async with asyncio.timeout(self._timeout):
                try:
                    return await self._post(path, events)
                except PublishRefusedError:
                    await self._authorizer.refresh()
                    return await self._post(path, events)
        except TimeoutError:
            raise PublishUnconfirmedError(f"no response within {self._timeout:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise PublishUnconfirmedError(f"no response: {type(error).__name__}") from None

    async def close(self) -> None:
        """Close the session, if it is the publisher's own."""
        if self._owns_session and self._session is not None:
            await self._session.close()
            self._session = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _post(self, channel: str, events: Sequence[str]) -> PublishResult:
        authorization = await self._authorizer.publish(channel, events)
        if self._session is None:
            self._session = aiohttp.ClientSession()
        # Lower case, so that an authorizer that signs the content type replaces the default.
        headers = {"content-type": "application/json"} | {name.lower(): value for name, value in authorization.items()}
        async with self._session.post(
            self._url,
            data=publish_body(channel, events),
            headers=headers,
            allow_redirects=False,  # it would receive the credentials
        ) as response:
            return _parse_result(response.status, await response.read())


def _parse_result(status: int, body: bytes) -> PublishResult:
    try:
        response = orjson.loads(body)
    except orjson.JSONDecodeError:
        response = None
    if not isinstance(response, dict):
        response = {}
    if status != 200 or not isinstance(response.get("successful"), list):
        raise PublishError.from_response(status, error_details(response.get("errors")))
    return PublishResult(
        successful=tuple(_index(item) for item in _objects(response["successful"])),
        failed=tuple(_failed(item) for item in _objects(response.get("failed"))),
    )


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _index(item: dict[str, Any]) -> int:
    index = item.get("index")
    return index if type(index) is int else -1


def _failed(item: dict[str, Any]) -> FailedEvent:
    code, message = item.get("code"), item.get("message")
    return FailedEvent(
        index=_index(item),
        code=code if isinstance(code, str | int) else None,
        message=message if isinstance(message, str) else None,
    )

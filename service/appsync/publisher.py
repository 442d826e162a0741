"""Publishing over HTTP.

From the AWS AppSync Events developer guide, "Publish events via HTTP". Over HTTP rather than the WebSocket, because a
connection may carry no more than 25 publish requests a second (AWS General Reference, "AWS AppSync endpoints and
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
from .errors import PublishError, PublishRefusedError, PublishUnsentError
from .protocol import error_details

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from .auth import Authorizer

MAX_EVENTS = 5


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """An event that the service took but did not send out.

    `index` is its place in the request, from 0 (-1: not told); `code` names the reason or is a number.
    """

    index: int
    code: str | int | None
    message: str | None


@dataclass(frozen=True, slots=True)
class PublishResult:
    """What became of a request's events: the places of those that went out, and those that failed."""

    successful: tuple[int, ...]
    failed: tuple[FailedEvent, ...]


def publish_body(channel: str, events: Sequence[str]) -> bytes:
    """Return the request's body, byte for byte as it is sent and as a signature has to cover it."""
    return orjson.dumps({"channel": channel, "events": list(events)})


class Publisher:
    """Publishes over HTTP.

    `http_url` is the API's HTTP endpoint, `https://.../event`; `timeout` bounds one `publish`, in seconds. A `session`
    that is passed in stays open; else one is made and belongs to the publisher.

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

        Credentials that are refused are read again, and shown once more. Raises ChannelError for a bad channel,
        ValueError for a bad number of events, PublishRefusedError for credentials (or a namespace that does not exist),
        PublishUnsentError where no answer came in time, PublishError for any other answer. What the authorizer raises
        passes through.
        """
        if not 1 <= len(events) <= MAX_EVENTS:
            raise ValueError(f"a request takes 1 to {MAX_EVENTS} events")
        path = for_publish(channel)
        try:
            async with asyncio.timeout(self._timeout):
                try:
                    return await self._post(path, events)
                except PublishRefusedError:
                    await self._authorizer.refresh()
                    return await self._post(path, events)
        except TimeoutError:
            raise PublishUnsentError(f"no answer within {self._timeout:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise PublishUnsentError(f"no answer, {type(error).__name__}") from None

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
        # Lower case, so that an authorizer which signs the content type replaces ours.
        headers = {"content-type": "application/json"} | {name.lower(): value for name, value in authorization.items()}
        async with self._session.post(
            self._url,
            data=publish_body(channel, events),
            headers=headers,
            allow_redirects=False,  # the credentials would go along
        ) as response:
            return _result(response.status, await response.read())


def _result(status: int, body: bytes) -> PublishResult:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        answer = {}
    if status != 200 or not isinstance(answer.get("successful"), list):
        raise PublishError.from_answer(status, error_details(answer.get("errors")))
    return PublishResult(
        successful=tuple(_index(item) for item in _items(answer["successful"])),
        failed=tuple(_failed(item) for item in _items(answer.get("failed"))),
    )


def _items(value: object) -> list[dict[str, Any]]:
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

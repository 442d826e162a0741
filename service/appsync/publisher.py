"""Publishing over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    import aiohttp

    from .auth import Authorizer

MAX_EVENTS = 5


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """An event that the service took but did not send out; `index` is its place in the request."""

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
    """Publishes over HTTP."""

    def __init__(
        self,
        http_url: str,
        authorizer: Authorizer,
        *,
        session: aiohttp.ClientSession | None = None,
        timeout: float = 5.0,
    ) -> None:
        raise NotImplementedError

    async def publish(self, channel: str, events: Sequence[str]) -> PublishResult:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

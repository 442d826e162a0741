"""What a connection, a subscription and a publish request show to be let in.

From the AWS AppSync Events developer guide, "Understanding the Event API WebSocket protocol" (authorisation formats)
and "Publish events via HTTP".
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from .events import LinkEvent, LinkEventKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Authorizer(Protocol):
    """Makes authorisations afresh for each use, so that an implementation may sign or read a secret each time.

    An exception from any of these methods counts as a failed try; the link goes on.
    """

    async def connect(self) -> dict[str, str]:
        """Return the authorisation object of the WebSocket handshake."""
        ...

    async def subscribe(self, channel: str) -> dict[str, str]:
        """Return the authorisation object of one subscribe message; `channel` is the path exactly as it is sent."""
        ...

    async def publish(self, channel: str, events: Sequence[str]) -> dict[str, str]:
        """Return the headers of one HTTP publish request, whose body is `publish_body(channel, events)`."""
        ...

    async def refresh(self) -> int:
        """Read the credentials again: called after a refusal, and every few seconds while refusals go on.

        Returns a fingerprint, such as a hash: another number means other credentials, worth a try at once.
        """
        ...


class Refresher:
    """Has an authorizer's credentials read again, and knows whether that brought others."""

    def __init__(self, authorizer: Authorizer, timeout: float, report: Callable[[LinkEvent], None]) -> None:
        self._authorizer = authorizer
        self._timeout = timeout
        self._report = report
        self._fingerprint: int | None = None
        self._failing = False

    async def refresh(self) -> bool:
        """Read them again; whether they differ from those that were last read here.

        A failure is told once, until it works again.
        """
        former = self._fingerprint
        try:
            async with asyncio.timeout(self._timeout):
                self._fingerprint = await self._authorizer.refresh()
        except Exception as error:  # noqa: BLE001 - an authorizer may raise anything, its text is not ours to tell
            if not self._failing:
                self._report(LinkEvent(kind=LinkEventKind.REFRESH_FAILED, error_type=type(error).__name__))
            self._failing = True
            return False
        self._failing = False
        return self._fingerprint != former


class ApiKey(Authorizer):
    """Authorisation by an API key.

    `http_url` is the API's HTTP endpoint: every authorisation names its host, even on the real-time endpoint.
    Raises ValueError for a URL without a host or an empty key.
    """

    def __init__(self, http_url: str, key: str) -> None:
        self._host = http_host(http_url)
        if not key:
            raise ValueError("the API key is empty")
        self._key = key

    def __repr__(self) -> str:
        return f"ApiKey(host={self._host!r})"

    async def connect(self) -> dict[str, str]:
        """Return host and key."""
        return {"host": self._host, "x-api-key": self._key}

    async def subscribe(self, channel: str) -> dict[str, str]:
        """Return host and key."""
        return {"host": self._host, "x-api-key": self._key}

    async def publish(self, channel: str, events: Sequence[str]) -> dict[str, str]:
        """Return the key's header."""
        return {"x-api-key": self._key}

    async def refresh(self) -> int:
        """Do nothing: this key has no source to read it from again."""
        return hash(self._key)


def http_host(http_url: str) -> str:
    """Return the URL's host as a Host header has it: with the port, unless it is the scheme's own.

    Raises ValueError for a URL that is not HTTP or has no host.
    """
    url = urlsplit(http_url)
    default_port = {"http": 80, "https": 443}.get(url.scheme)
    if default_port is None or not url.hostname:
        raise ValueError("the HTTP endpoint has to be an http:// or https:// URL with a host")
    host = url.netloc.rpartition("@")[2]
    return host.removesuffix(f":{default_port}") if url.port == default_port else host

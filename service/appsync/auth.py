"""What a connection, a subscription and a publish request show to be let in.

From the AWS AppSync Events developer guide, "Understanding the Event API WebSocket protocol" (authorisation formats)
and "Publish events via HTTP".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence


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

    async def refresh(self) -> None:
        """Read the credentials again: called once after each refusal, before the next try."""
        ...


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

    async def refresh(self) -> None:
        """Do nothing: this key has no source to read it from again."""


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

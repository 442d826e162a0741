"""Authorisation of connections, subscriptions and publish requests.

From the AWS AppSync Events developer guide, "Understanding the Event API WebSocket protocol" (authorisation formats)
and "Publish events via HTTP".
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from .errors import AuthorizerError, error_name
from .events import LinkEvent, LinkEventKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


_KEY = re.compile(r"[!#-&(-_a-~]+")
"""Printable ASCII except blank, double quote, single quote and backquote."""


class Authorizer(Protocol):
    """A source of authorisations: a new one for each use, so that it may sign or read a secret each time.

    An exception from any of these methods counts as a failed attempt; the link keeps running. It reports the text of
    an AuthorizerError, and only the types of others.
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
        """Read the credentials again; called after a refusal, and every few seconds while refusals continue.

        Return a fingerprint, such as a hash. A different value means that the credentials have changed; the link then
        uses them immediately.
        """
        ...


class CredentialRefresher:
    """Reads an authorizer's credentials again and detects whether they have changed."""

    def __init__(self, authorizer: Authorizer, timeout: float, report: Callable[[LinkEvent], None]) -> None:
        self._authorizer = authorizer
        self._timeout = timeout
        self._report = report
        self._fingerprint: int | None = None
        self._failing = False

    async def refresh(self) -> bool:
        """Read them again; return whether they have changed since the last call.

        If reading fails repeatedly, only the first failure is reported.
        """
        previous = self._fingerprint
        try:
            async with asyncio.timeout(self._timeout):
                self._fingerprint = await self._authorizer.refresh()
        except Exception as error:  # noqa: BLE001 - an authorizer may raise anything, and its text may hold a secret
            if not self._failing:
                reason = str(error) if isinstance(error, AuthorizerError) else ""
                self._report(LinkEvent(kind=LinkEventKind.REFRESH_FAILED, reason=reason, error_type=error_name(error)))
            self._failing = True
            return False
        self._failing = False
        return self._fingerprint != previous


class ApiKey(Authorizer):
    """Authorisation by an API key.

    `http_url` is the API's HTTP endpoint: every authorisation names its host, even on the real-time endpoint. Raises
    ValueError for a URL without a host and for what cannot be a key.
    """

    def __init__(self, http_url: str, key: str) -> None:
        self._host = http_host(http_url)
        self._key = clean_key(key)

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
        """Return a constant fingerprint: this key cannot be read again."""
        return hash(self._key)


def clean_key(text: str) -> str:
    """Return an API key without the blanks and line breaks around it.

    Raises ValueError, without the key, for what contains quotes, blanks or characters that cannot be sent: no key does,
    and the service would refuse it without saying why.
    """
    key = text.strip()
    if not key:
        raise ValueError("the API key is empty")
    if _KEY.fullmatch(key) is None:
        raise ValueError("an API key contains no quotes, no blanks and only printable ASCII characters")
    return key


def http_host(http_url: str) -> str:
    """Return the URL's host as in a Host header: with the port, unless it is the scheme's default.

    Raises ValueError for a URL that is not HTTP or has no host.
    """
    url = urlsplit(http_url)
    default_port = {"http": 80, "https": 443}.get(url.scheme)
    if default_port is None or not url.hostname:
        raise ValueError("the HTTP endpoint must be an http:// or https:// URL with a host")
    host = url.netloc.rpartition("@")[2]
    return host.removesuffix(f":{default_port}") if url.port == default_port else host

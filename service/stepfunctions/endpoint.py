"""Where Step Functions is called, and with what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from botocore.credentials import ReadOnlyCredentials


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where Step Functions is called, and with what."""

    url: str
    """The URL of all calls."""
    signing_name: str
    """The service's name in signatures."""
    region: str
    """The region in signatures."""
    tls: ssl.SSLContext
    """The certificates to trust."""
    proxy: str | None
    """The URL of the HTTP or HTTPS proxy, with its scheme, maybe with user and password; None: call directly."""
    credentials: Callable[[], Awaitable[ReadOnlyCredentials]]
    """Return the credentials for a call; whatever it raises, nothing was sent."""

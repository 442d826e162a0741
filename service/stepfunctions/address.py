"""The address of an HTTP server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_SENDABLE: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of an http or https URL."""

    tls: bool
    """Whether it is an https URL."""
    host: str
    """The host's name or IP address, in lower case, without brackets."""
    port: int
    """The port."""
    path: str
    """The path as it is sent."""
    user: str | None
    """The user and the password as they are written in the URL, if there are any."""

    @classmethod
    def parse(cls, url: str) -> Address:
        """Parse a URL; raise ValueError, which does not show it, if no request can be sent to it."""
        parts = urlsplit(url)
        if parts.scheme not in _DEFAULT_PORTS:
            raise ValueError("the URL must begin with http:// or https://")
        if not parts.hostname or not _SENDABLE.fullmatch(url):
            raise ValueError("the URL has no host, or characters that a request cannot have")
        user = parts.netloc.rpartition("@")[0]
        port = _DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
        return cls(parts.scheme == "https", parts.hostname, port, parts.path or "/", user or None)

    @property
    def host_and_port(self) -> str:
        """The host with its port, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

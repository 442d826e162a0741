"""Limits on requests and connections that follow from the process's limit of open files."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import Final

MAX_SPARE_CONNECTIONS: Final = 1024
"""Connections that may be open besides those with a request in flight: idle ones, health checks."""

MAX_ACCEPT_BACKLOG: Final = 1024
"""Connections that the system may queue until they are accepted; it applies its own limit too (net.core.somaxconn)."""


def raise_open_files() -> int:
    """Raise the soft limit of open files to the hard one; return the limit now in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):  # macOS reports "unlimited" as the hard limit and refuses it as the soft one
            return soft
    return hard


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits that one instance enforces."""

    in_flight: int
    """Requests in flight at once."""

    connections: int
    """Connections open at once."""

    backlog: int
    """Connections that the system may queue until they are accepted."""


def connection_limits(max_in_flight: int, open_files: int, reserved: int) -> ConnectionLimits:
    """Divide a limit of open files so that it allows `max_in_flight` requests, or as many as possible.

    Each request takes one connection; `reserved` files are for what the service opens itself. The backlog counts twice:
    all connections in the queue are accepted at once, before the first of them can be rejected.
    """
    if open_files == resource.RLIM_INFINITY:
        return ConnectionLimits(max_in_flight, max_in_flight + MAX_SPARE_CONNECTIONS, MAX_ACCEPT_BACKLOG)
    spare, backlog = min(MAX_SPARE_CONNECTIONS, open_files // 16), min(MAX_ACCEPT_BACKLOG, open_files // 32)
    in_flight = max(1, min(max_in_flight, open_files - reserved - spare - 2 * backlog))
    return ConnectionLimits(in_flight, in_flight + spare, backlog)

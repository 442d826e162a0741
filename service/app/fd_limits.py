"""How many requests fit into the process's limit of open files."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import Final

SPARE: Final = 1024
"""Connections that may be open beside those whose requests are held."""

BACKLOG: Final = 1024
"""Callers that may connect at once; the system caps it, too (net.core.somaxconn)."""


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
class Room:
    """What fits: requests held at once, connections open at once, callers that wait to be connected."""

    in_flight: int
    connections: int
    backlog: int


def fit(wanted: int, open_files: int, reserved: int) -> Room:
    """Share out a limit of open files so that `wanted` requests can be held, or as many of them as fit.

    Each holds one connection, `reserved` files are for what the service itself opens. Others may be connected beside
    those whose requests are held: idle ones, health checks. As many callers as the backlog holds are connected at once,
    before one of them can be turned away.
    """
    if open_files == resource.RLIM_INFINITY:
        return Room(wanted, wanted + SPARE, BACKLOG)
    spare, backlog = min(SPARE, open_files // 16), min(BACKLOG, open_files // 32)
    in_flight = max(1, min(wanted, open_files - reserved - spare - 2 * backlog))
    return Room(in_flight, in_flight + spare, backlog)

"""How many requests fit into the process's limit of open files."""

from __future__ import annotations

import resource


def raise_open_files() -> int:
    """Raise the soft limit of open files to the hard one; return the limit now in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):  # macOS reports "unlimited" as the hard limit and refuses it as the soft one
            return soft
    return hard


def fitting_in_flight(wanted: int, open_files: int, reserved: int) -> int:
    """Return how many of `wanted` requests can be held: each holds one socket, `reserved` files are for the rest."""
    if open_files == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, open_files - reserved))

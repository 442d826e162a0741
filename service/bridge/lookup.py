"""One execution to read: why, and how far that got."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Lookup:
    """One execution to read."""

    ended: bool = False
    """Whether it is known to have ended: it is then read until the record shows that."""

    presumed: bool = False
    """Whether it is missing in a listing of what runs: it is then read a few more times, as the record may lag."""

    queued: bool = False
    """Whether it is queued for its first, or next, read."""

    unlisted: bool = False
    """Whether it is queued only because no listing showed it; a later listing can make the read unnecessary."""

    urgent: bool = False
    """Whether it is queued by its deadline, before those that are not."""

    swept: bool = False
    """Whether a sweep asked for it, which leaves half of the quotas to others unless it is urgent."""

    reading: bool = False
    """Whether it is being read."""

    requested_again: bool = False
    """Whether it was requested again during that read."""

    due: float = 0.0
    """When it is to be read again, by the event loop's clock; 0 if no time is set."""

    repeats: int = 0
    """How many reads were repeated."""

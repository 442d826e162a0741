"""The ways an execution can end, the same for a pushed reply and for Step Functions' record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The execution succeeded."""

    output: bytes
    """Its output as JSON text, without surrounding white space.

    It stays the text that the workflow wrote, because JSON can express more than Python's values: 1e400, a number of
    thirty digits, or 1.0 as opposed to 1.
    """


@dataclass(frozen=True, slots=True)
class Failed:
    """The execution failed."""

    error: str
    """The error's name. The cause is left out: it may hold private data."""


@dataclass(frozen=True, slots=True)
class Aborted:
    """The execution was stopped from outside."""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The execution exceeded its own time limit."""


Outcome: TypeAlias = Succeeded | Failed | Aborted | TimedOut

"""How an execution ends: the same few values, whether a pushed reply or Step Functions' record told it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The execution succeeded; `output` is its output, as JSON text without blanks around it.

    It stays the text that the workflow wrote: JSON can say more than Python's values, such as 1e400, a
    number of thirty digits, or that one is 1.0 and not 1.
    """

    output: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """The execution failed with the error named `error` (the cause may hold private data and is left behind)."""

    error: str


@dataclass(frozen=True, slots=True)
class Aborted:
    """The execution was stopped from outside."""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The execution exceeded its own time limit."""


Outcome: TypeAlias = Succeeded | Failed | Aborted | TimedOut

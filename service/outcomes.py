"""How an execution ends: the same few values, whether a pushed reply or Step Functions' record told it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The execution succeeded; `output` is its output, any JSON value."""

    output: Any


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

"""The ways an execution can end, the same for a pushed reply and for Step Functions' record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

MAX_ERROR_NAME_LENGTH: Final = 256
"""Characters of an error's name: AWS's own limit where it has one ("SendTaskFailure", AWS Step Functions API
Reference). A published reply may hold any text."""


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
    """The error's name, empty if it has none. The cause is left out: it may hold private data."""

    @classmethod
    def named(cls, name: object) -> Failed:
        """Return a failure with the name that a workflow gave it, in a form that is safe to show and to log.

        It is cut to MAX_ERROR_NAME_LENGTH, U+FFFD replaces what cannot be printed (control characters, lone
        surrogates), and a value that is not a string counts as a missing name.
        """
        text = name[:MAX_ERROR_NAME_LENGTH] if isinstance(name, str) else ""
        return cls("".join(letter if letter.isprintable() else "\ufffd" for letter in text))


@dataclass(frozen=True, slots=True)
class Aborted:
    """The execution was stopped from outside."""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The execution exceeded its own time limit."""


Outcome: TypeAlias = Succeeded | Failed | Aborted | TimedOut

"""One execution as its states see it: the context object, the mocks it uses, and its history so far.

Source: AWS Step Functions Developer Guide, "Accessing execution data from the Context object".
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from service.local.asl.retry import RUNTIME, StateError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.local.json_text import Json


_MAX_EVENTS: Final = 25_000


class Event(NamedTuple):
    """An event of a history; `data` is written as JSON text when somebody reads it."""

    timestamp: float
    previous: int
    """The number of the event that led to this one; events are numbered from 1."""
    kind: str
    details: Mapping[str, Json]


class Trail:
    """The events of one flow of an execution, which share a list with those of its other flows."""

    def __init__(self, events: list[Event], previous: int = 0) -> None:
        self._events = events
        self._previous = previous

    def add(self, kind: str, **details: Json) -> None:
        """Add an event that follows the last one of this flow; StateError if the history is full, as on AWS."""
        if len(self._events) >= _MAX_EVENTS:
            raise StateError(RUNTIME, f"the execution has more than {_MAX_EVENTS} events")
        self._events.append(Event(time.time(), self._previous, kind, details))
        self._previous = len(self._events)

    def branch(self) -> Trail:
        """Return the trail of a flow that begins here."""
        return Trail(self._events, self._previous)


@dataclass(slots=True)
class Run:
    """One execution."""

    context: Mapping[str, Json] = field(default_factory=dict)
    """The context object without what depends on the state."""
    test_case: str | None = None
    """The test case of the mocks; None for the first."""
    events: list[Event] = field(default_factory=list)
    invocations: Counter[str] = field(default_factory=Counter)
    """How often the task of each state has been invoked."""


class TaskCall(NamedTuple):
    """One invocation of a task."""

    state: str
    resource: str
    arguments: Json
    run: Run
    token: str
    """For SendTaskSuccess and the like; empty for a task that nobody else ends."""
    timeout_s: float | None
    heartbeat_s: float | None
    trail: Trail


def timestamp(moment: float) -> str:
    """Write a moment (epoch seconds) as the context object has it."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(moment))}.{int(moment * 1000) % 1000:03d}Z"

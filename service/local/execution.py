"""The record of one execution.

Source: AWS Step Functions API Reference, "DescribeExecution" and "RedriveExecution".
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Final

from service.local.asl.run import Event
from service.local.history import END_EVENTS, failure

_MAX_TOKENS: Final = 10
_TOKEN_S: Final = 15 * 60  # for which a token is known
_REDRIVABLE_S: Final = 14 * 24 * 3600  # after its end
_MAX_EVENTS_TO_REDRIVE: Final = 24_998  # of the history's 25,000


@dataclass(slots=True, eq=False)
class Execution:
    """The record of one execution; dates are epoch seconds, `input` and `output` are JSON text."""

    name: str
    arn: str
    input: str
    number: int
    trace_header: str | None = None
    version: int | None = None
    """The version of the state machine that it was started with, and the alias; None if the start named none."""
    alias: str | None = None
    start_date: float = field(default_factory=time.time)
    stop_date: float | None = None
    status: str = "RUNNING"  # RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED
    output: str | None = None
    error: str | None = None
    cause: str | None = None
    events: list[Event] = field(default_factory=list)
    """Its history between start and end."""
    redrive_count: int = 0
    redrive_date: float | None = None
    redrive_tokens: tuple[tuple[str, float], ...] = ()
    """The client tokens of the last redrives, with their dates."""
    before: Execution | None = None
    """The record just before the last redrive."""

    @property
    def size(self) -> int:
        """Characters of input and output."""
        return len(self.input) + len(self.output or "")

    @property
    def redrive_refusal(self) -> str | None:
        """Why it cannot be redriven, in AWS's words; None if it can."""
        if self.status in {"RUNNING", "SUCCEEDED"}:
            return f"Execution is {self.status} and cannot be redriven."
        if self.stop_date is not None and self.stop_date < time.time() - _REDRIVABLE_S:
            return "Execution redrivable period exceeded."
        if len(self.events) + 2 > _MAX_EVENTS_TO_REDRIVE:  # the start and the end are events, too
            return "Execution history event limit exceeded."
        return None

    def redriven_at(self, token: str | None) -> float | None:
        """Return when this client token redrove it; None if it did not, or too long ago."""
        dates = (date for known, date in self.redrive_tokens if known == token)
        return next((date for date in dates if date > time.time() - _TOKEN_S), None)

    def redrive(self, token: str | None) -> None:
        """Run again from now on; its history goes on."""
        if self.stop_date is None:
            raise RuntimeError("the execution is running")
        self.before = replace(self, events=list(self.events))
        self.redrive_count += 1
        self.redrive_date = now = time.time()
        if token is not None:
            self.redrive_tokens = (*self.redrive_tokens, (token, now))[-_MAX_TOKENS:]
        ended = Event(self.stop_date, len(self.events), END_EVENTS[self.status], failure(self))
        redriven = Event(now, len(self.events) + 1, "ExecutionRedriven", {"redriveCount": self.redrive_count})
        self.events += (ended, redriven)
        self.status, self.stop_date, self.error, self.cause = "RUNNING", None, None, None

    def as_of(self, moment: float) -> Execution | None:
        """Return the record as it was at a moment (epoch seconds); None before the start."""
        if (self.start_date if self.redrive_date is None else self.redrive_date) > moment:
            return None if self.before is None else self.before.as_of(moment)
        if self.stop_date is None or self.stop_date <= moment:
            return self
        return replace(self, stop_date=None, status="RUNNING", output=None, error=None, cause=None)

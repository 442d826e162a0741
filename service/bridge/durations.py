"""An estimate of how long executions take, so that callers know when to come back."""

from __future__ import annotations

from typing import Final

_NEW_SAMPLE_WEIGHT: Final = 1 / 8


class Durations:
    """A moving average over the executions that succeeded.

    Each new one has a weight of one eighth, as in TCP's estimate of the round-trip time (RFC 6298).
    """

    def __init__(self) -> None:
        self.typical_seconds = 0.0
        """The average; 0 before the first execution has succeeded."""

    def add(self, seconds: float) -> None:
        """Add the duration of one execution."""
        self.typical_seconds += (seconds - self.typical_seconds) * (_NEW_SAMPLE_WEIGHT if self.typical_seconds else 1.0)

    def remaining(self, age: float) -> float:
        """Estimate how many more seconds an execution will take after it has been running for `age` seconds.

        An overdue execution is expected to take as long again as it is overdue, so that a caller that polls does so
        less and less often.
        """
        return abs(self.typical_seconds - age)

"""How long executions take, so that a caller can be told when it is worth to come back."""

from __future__ import annotations

from typing import Final

_WEIGHT: Final = 1 / 8


class Durations:
    """A moving average over the executions that succeeded, in seconds; 0 as long as there was none.

    Each new one counts an eighth, as in TCP's estimate of the round trip (RFC 6298).
    """

    def __init__(self) -> None:
        self.typical = 0.0

    def note(self, seconds: float) -> None:
        """Take in how long one execution took."""
        self.typical += (seconds - self.typical) * (_WEIGHT if self.typical else 1.0)

    def left(self, age: float) -> float:
        """Guess in how many seconds an execution ends that has run for `age` seconds.

        One that is overdue is guessed to take as long again as it is overdue, so that who asks again and again does so
        less and less often.
        """
        return abs(self.typical - age)

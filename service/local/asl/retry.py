"""Retry and Catch: which errors an entry stands for, and how long to wait before the next attempt.

Source: AWS Step Functions Developer Guide, "Handling errors in Step Functions workflows".
"""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.local.asl.states import Catcher, Retrier

TIMEOUT: Final = "States.Timeout"
HEARTBEAT_TIMEOUT: Final = "States.HeartbeatTimeout"
DATA_LIMIT: Final = "States.DataLimitExceeded"
RUNTIME: Final = "States.Runtime"


class StateError(Exception):
    """A state failed, with an error name of the States Language and a cause."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(error, cause)
        self.error = error
        self.cause = cause


class Attempts:
    """The attempts of one run of a state, counted for each of its retriers."""

    def __init__(self, retriers: Sequence[Retrier]) -> None:
        self._retriers = retriers
        self._counts: Counter[int] = Counter()

    @property
    def retries(self) -> int:
        """How many attempts there were after the first."""
        return self._counts.total()

    def delay(self, error: str) -> float | None:
        """Count an attempt that failed; return the seconds before the next one, None to give up."""
        for index, retrier in enumerate(self._retriers):
            if matches(retrier, error):
                if self._counts[index] >= retrier.max_attempts:
                    return None
                delay = retrier.interval_s * retrier.backoff ** self._counts[index]
                self._counts[index] += 1
                if retrier.max_delay_s is not None:
                    delay = min(delay, retrier.max_delay_s)
                return random.uniform(0, delay) if retrier.full_jitter else delay  # noqa: S311 - jitter, not a secret
        return None


def matches(handler: Retrier | Catcher, error: str) -> bool:
    """Return whether ErrorEquals matches this error; nothing matches States.Runtime."""
    if error == RUNTIME:
        return False
    return (
        error in handler.errors
        or ("States.ALL" in handler.errors and error != DATA_LIMIT)
        or (TIMEOUT in handler.errors and error == HEARTBEAT_TIMEOUT)
        or ("States.TaskFailed" in handler.errors and error not in {TIMEOUT, HEARTBEAT_TIMEOUT, DATA_LIMIT})
    )

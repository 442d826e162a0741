"""Token buckets, which limit how fast each Step Functions API action is called."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable

_QUOTA_TEXT: Final = re.compile(r"(\d{1,9})/(\d{1,9})")

MIN_REFILL_FACTOR: Final = 1 / 16
"""The lowest refill rate after repeated throttling, as a fraction of the quota's own."""

THROTTLING_S: Final = 1.0
"""Seconds in which calls that were throttled count as one: they were under way at the same time."""

REFILL_RECOVERY_FACTOR: Final = 1.1
"""What each call that was not throttled multiplies a lowered refill rate by."""


ROUNDING: Final = 1e-6
"""What a token may lack: after exactly `seconds_to_wait`, rounding may leave a bucket just short of it."""


@dataclass(frozen=True, slots=True)
class Quota:
    """A quota of an AWS API action, written as AWS writes it."""

    size: float
    """Calls that a full bucket holds."""
    refill: float
    """Calls that flow back into it each second."""

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `300/15`; raise ValueError for anything else, and for a bucket that would never hold a token."""
        if isinstance(text, cls):
            return text
        match = _QUOTA_TEXT.fullmatch(text) if isinstance(text, str) else None
        if match is None or not (int(match[1]) and int(match[2])):
            raise ValueError("must look like 300/15: a bucket's size and its refill per second")
        return cls(int(match[1]), int(match[2]))

    def share(self, part: float) -> Quota:
        """Return this part of the quota, with room for one call at least."""
        return Quota(max(1.0, self.size * part), self.refill * part)

    def __str__(self) -> str:
        return f"{self.size}/{self.refill}"


# The values of the large regions ("Quotas related to API action throttling", AWS Step Functions Developer Guide). The
# local AWS has a table of its own: it checks this client, so both must not share one wrong number.
DESCRIBE_EXECUTION_QUOTA: Final = Quota(300, 15)
GET_EXECUTION_HISTORY_QUOTA: Final = Quota(400, 20)
LIST_EXECUTIONS_QUOTA: Final = Quota(200, 5)
STOP_EXECUTION_QUOTA: Final = Quota(1000, 200)
REDRIVE_EXECUTION_QUOTA: Final = Quota(1300, 300)

# The values of all other regions. The read quotas of those are settings.
_SMALL_STOP_EXECUTION_QUOTA: Final = Quota(500, 25)
_SMALL_REDRIVE_EXECUTION_QUOTA: Final = Quota(800, 150)
_LARGE_REGIONS: Final = frozenset({"us-east-1", "us-west-2", "eu-west-1"})


def stop_execution_quota(region: str) -> Quota:
    """Return the quota of StopExecution in a region."""
    return STOP_EXECUTION_QUOTA if region in _LARGE_REGIONS else _SMALL_STOP_EXECUTION_QUOTA


def redrive_execution_quota(region: str) -> Quota:
    """Return the quota of RedriveExecution in a region."""
    return REDRIVE_EXECUTION_QUOTA if region in _LARGE_REGIONS else _SMALL_REDRIVE_EXECUTION_QUOTA


class TokenBucket:
    """A quota in use.

    A quota belongs to the whole account, and other clients draw on it unseen. So a throttled call empties the bucket
    and halves its refill rate, once a second at most. The rate grows back with each call that is not throttled.
    """

    def __init__(self, quota: Quota, clock: Callable[[], float] = time.monotonic) -> None:
        self._quota = quota
        self._clock = clock
        self._tokens: float = quota.size
        self._refill_rate: float = quota.refill
        self._refilled_at = clock()
        self._lower_again_at = self._refilled_at

    @property
    def size(self) -> float:
        """Calls that a full bucket holds."""
        return self._quota.size

    @property
    def level(self) -> float:
        """Calls that could be made at once; below zero while tokens are reserved in advance."""
        self._refill()
        return self._tokens

    def seconds_to_wait(self, spare: float = 0.0) -> float:
        """Return the seconds until a call may be made, with `spare` tokens left after it; 0 if now."""
        return max(0.0, (spare + 1 - self.level) / self._refill_rate)

    def take(self, spare: float = 0.0) -> bool:
        """Take a token if there is one, and `spare` tokens are left after it."""
        if self.level < spare + 1 - ROUNDING:
            return False
        self._tokens -= 1
        return True

    def reserve(self, timeout: float) -> float | None:
        """Take a token in advance, first come, first served; return the seconds to wait for it.

        Return None, and take nothing, if that is longer than `timeout` seconds.
        """
        wait = self.seconds_to_wait()
        if wait > timeout:
            return None
        self._tokens -= 1
        return wait

    def on_success(self) -> None:
        """Note a call that was not throttled."""
        self._refill()
        self._refill_rate = min(self._refill_rate * REFILL_RECOVERY_FACTOR, self._quota.refill)

    def on_throttled(self) -> None:
        """Note a call that was throttled: other clients have emptied the account's bucket."""
        self._refill()
        self._tokens = min(self._tokens, 0.0)
        if self._refilled_at >= self._lower_again_at:
            self._lower_again_at = self._refilled_at + THROTTLING_S
            self._refill_rate = max(self._refill_rate / 2, self._quota.refill * MIN_REFILL_FACTOR)

    def _refill(self) -> None:
        now = self._clock()
        self._tokens = min(self._tokens + (now - self._refilled_at) * self._refill_rate, self._quota.size)
        self._refilled_at = now

"""Token buckets: how fast one kind of call may be made."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable

_TEXT: Final = re.compile(r"(\d{1,9})/(\d{1,9})")
_SLOWEST: Final = 1 / 16
_RECOVERY: Final = 1.1


@dataclass(frozen=True, slots=True)
class Quota:
    """A bucket of `size` calls, refilled by `refill` calls a second, as the service quotas of AWS are written."""

    size: int
    refill: int

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `300/15`; raise ValueError for anything else, and for a bucket that nothing ever comes out of."""
        if isinstance(text, cls):
            return text
        match = _TEXT.fullmatch(text) if isinstance(text, str) else None
        if match is None or not (int(match[1]) and int(match[2])):
            raise ValueError("must look like 300/15: a bucket's size and what refills it each second")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.size}/{self.refill}"


# The values of the large regions ("Quotas related to API action throttling", AWS Step Functions Developer Guide).
DESCRIBE_EXECUTION: Final = Quota(300, 15)
GET_EXECUTION_HISTORY: Final = Quota(400, 20)
LIST_EXECUTIONS: Final = Quota(200, 5)


class TokenBucket:
    """A quota in use.

    A quota belongs to the whole account, so that others draw on it unseen: after a throttled call the bucket is empty
    and refills at half the pace, which grows back with each call that goes through.
    """

    def __init__(self, quota: Quota, clock: Callable[[], float] = time.monotonic) -> None:
        self._quota = quota
        self._clock = clock
        self._tokens = float(quota.size)
        self._pace = float(quota.refill)
        self._at = clock()

    @property
    def size(self) -> int:
        """Calls that a full bucket holds."""
        return self._quota.size

    @property
    def level(self) -> float:
        """Calls that could be made at once; below zero when later ones are promised already."""
        self._refill()
        return self._tokens

    def wait(self) -> float:
        """Tell in how many seconds a call may be made; 0 if now."""
        return max(0.0, (1 - self.level) / self._pace)

    def take(self) -> bool:
        """Take a token if there is one."""
        if self.level < 1:
            return False
        self._tokens -= 1
        return True

    def reserve(self, within: float) -> float | None:
        """Take a token in advance, first come, first served; return the seconds to wait for it.

        None, and nothing taken, if that is longer than `within` seconds.
        """
        wait = self.wait()
        if wait > within:
            return None
        self._tokens -= 1
        return wait

    def on_success(self) -> None:
        """Note a call that was not throttled."""
        self._refill()
        self._pace = min(self._pace * _RECOVERY, float(self._quota.refill))

    def throttled(self) -> None:
        """Note a call that was throttled: somebody else has emptied the account's bucket."""
        self._refill()
        self._tokens = min(self._tokens, 0.0)
        self._pace = max(self._pace / 2, self._quota.refill * _SLOWEST)

    def _refill(self) -> None:
        now = self._clock()
        self._tokens = min(self._tokens + (now - self._at) * self._pace, float(self._quota.size))
        self._at = now

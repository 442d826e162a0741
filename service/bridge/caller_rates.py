"""How many requests a second each caller may send."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from service.errors import CallerRateExceeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.stepfunctions.token_bucket import Quota

MAX_CALLERS: Final = 50_000
"""Callers that are remembered twice over, with at most 200 bytes each. Beyond that, those that have sent nothing for
longest are forgotten, and may send a full bucket again."""

ROUNDING_S: Final = 1e-6
"""What may be missing: after exactly `Retry-After`, rounding may leave a bucket just short of a token."""


class CallerRates:
    """A token bucket for each caller, kept as the time at which it will be full again (GCRA, ITU-T I.371).

    A full bucket is the same as none. So callers are dropped that sent nothing for as long as an empty bucket takes to
    fill: a turn later they are in `_before`, and two turns later nowhere.
    """

    def __init__(
        self, quota: Quota, clock: Callable[[], float] = time.monotonic, *, max_callers: int = MAX_CALLERS
    ) -> None:
        self._quota = quota
        self._clock = clock
        self._max_callers = max_callers
        self._token_s = 1 / quota.refill
        self._fill_s = quota.size / quota.refill
        self._full_at: dict[str, float] = {}
        self._before: dict[str, float] = {}
        self._turn_at = clock() + self._fill_s

    def __len__(self) -> int:
        return len(self._full_at) + len(self._before)

    def take(self, caller: str) -> None:
        """Take a token of `caller`; raise CallerRateExceeded if its bucket is empty."""
        now = self._clock()
        if now >= self._turn_at or len(self._full_at) >= self._max_callers:
            self._before, self._full_at = self._full_at, {}
            self._turn_at = now + self._fill_s
        full_at = max(now, self._full_at.get(caller) or self._before.get(caller, now)) + self._token_s
        wait = full_at - now - self._fill_s
        if wait > ROUNDING_S:
            raise CallerRateExceeded(
                f"Each caller may send {self._quota.refill:g} requests a second, and {self._quota.size:g} at once.",
                retry_after=wait,
            )
        self._full_at[caller] = full_at

"""Fault injection for the local AWS: what goes wrong on AWS, on demand and repeatable."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

# Not JSON, not an object, members missing or of the wrong type.
_MALFORMED_REPLIES: Final = (
    "",
    "{",
    "null",
    "[]",
    '"x"',
    "{}",
    '{"id":1,"status":"SUCCEEDED"}',
    '{"id":"x","status":"?"}',
)


class Fault:
    """One kind of fault, off at first. It may be limited in probability, number and API actions."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.triggered = 0
        """How many times it was triggered."""
        self.off()

    def on(self, probability: float = 1.0, *, times: int | None = None, actions: Collection[str] | None = None) -> None:
        """Trigger with this probability, no more than `times` times, and only for these API actions."""
        self._probability, self._remaining, self._actions = probability, times, actions

    def off(self) -> None:
        """Stop triggering."""
        self.on(0.0)

    def triggers(self, action: str | None = None) -> bool:
        """Decide for one event or API call, and count it if the fault is triggered."""
        if self._remaining == 0 or (self._actions is not None and action not in self._actions):
            return False
        if self._rng.random() >= self._probability:
            return False
        if self._remaining is not None:
            self._remaining -= 1
        self.triggered += 1
        return True


class Faults:
    """Every fault that can be injected; `seed` makes the random choices repeatable."""

    def __init__(self, seed: int | None = None) -> None:
        self._rng = rng = random.Random(seed)  # noqa: S311 - repeatable, not for secrets
        self.mute = Fault(rng)
        """An event is accepted but reaches no subscriber."""
        self.duplicate = Fault(rng)
        """An event reaches its subscribers twice."""
        self.junk = Fault(rng)
        """Malformed events reach the subscribers before an event."""
        self.delay = Fault(rng)
        """An event is delayed by up to `max_delay_s`, so that later ones overtake it."""
        self.max_delay_s = 0.5
        self.throttle = Fault(rng)
        """An API call gets ThrottlingException."""
        self.fail = Fault(rng)
        """An API call gets a server error and has no effect."""
        self.drop_response = Fault(rng)
        """An API call takes effect, but its response never arrives."""
        self.read_lag_s: dict[str, float] = {}
        """How many seconds an API action's reads are behind, as the record is eventually consistent."""
        self.throttled_machines: set[str] = set()
        """Names of state machines of which every start is throttled."""
        self._delayed: set[asyncio.TimerHandle] = set()

    def off(self) -> None:
        """Turn every fault off; delayed events still arrive."""
        for fault in vars(self).values():
            if isinstance(fault, Fault):
                fault.off()
        self.read_lag_s.clear()
        self.throttled_machines.clear()

    def deliver(self, event: str, deliver: Callable[[str], None]) -> None:
        """Deliver an event to one subscriber, subject to the faults that are on."""
        if self.mute.triggers():
            return
        if self.junk.triggers():
            for text in _MALFORMED_REPLIES:
                deliver(text)
        for _ in range(2 if self.duplicate.triggers() else 1):
            if self.delay.triggers():
                self._deliver_later(event, deliver)
            else:
                deliver(event)

    def close(self) -> None:
        """Discard delayed events."""
        for timer in self._delayed:
            timer.cancel()
        self._delayed.clear()

    def _deliver_later(self, event: str, deliver: Callable[[str], None]) -> None:
        def deliver_now() -> None:
            self._delayed.discard(timer)
            deliver(event)

        timer = asyncio.get_running_loop().call_later(self._rng.uniform(0, self.max_delay_s), deliver_now)
        self._delayed.add(timer)

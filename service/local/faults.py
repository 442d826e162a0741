"""Faults that the local AWS shows when it is told to: what goes wrong on AWS, on demand and repeatable."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

# No replies, in several ways: no JSON, no object, no members, members of wrong types.
_JUNK: Final = ("", "{", "null", "[]", '"x"', "{}", '{"id":1,"status":"SUCCEEDED"}', '{"id":"x","status":"?"}')


class Switch:
    """A fault that is off at first. It may strike only some of the chances, some actions, or so many times."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.struck = 0
        """How often it struck."""
        self.off()

    def on(self, share: float = 1.0, *, times: int | None = None, actions: Collection[str] | None = None) -> None:
        """Let it strike this share of the chances, `times` at the most, only for these API actions."""
        self._share, self._left, self._actions = share, times, actions

    def off(self) -> None:
        """Let it strike no more."""
        self.on(0.0)

    def strikes(self, action: str | None = None) -> bool:
        """Decide for one chance."""
        if self._left == 0 or (self._actions is not None and action not in self._actions):
            return False
        if self._dice.random() >= self._share:
            return False
        if self._left is not None:
            self._left -= 1
        self.struck += 1
        return True


class Faults:
    """Everything that can be made to go wrong; `seed` makes the choices repeatable."""

    def __init__(self, seed: int | None = None) -> None:
        self._dice = dice = random.Random(seed)  # noqa: S311 - repeatable, guards nothing
        self.mute = Switch(dice)
        """An event is published, and reaches no subscriber."""
        self.duplicate = Switch(dice)
        """An event reaches its subscribers twice."""
        self.junk = Switch(dice)
        """Events that are no replies reach the subscribers before it."""
        self.slow = Switch(dice)
        """An event is late by up to `lateness` seconds, so that others overtake it."""
        self.lateness = 0.5
        self.throttle = Switch(dice)
        """An API call gets ThrottlingException."""
        self.fail = Switch(dice)
        """An API call gets a server error, and is not carried out."""
        self.unanswered = Switch(dice)
        """An API call is carried out, and its answer never comes."""
        self.lag: dict[str, float] = {}
        """By how many seconds what an API action reads is behind: the record is eventually consistent."""
        self._late: set[asyncio.TimerHandle] = set()

    def off(self) -> None:
        """End every fault; what is late still comes."""
        for switch in vars(self).values():
            if isinstance(switch, Switch):
                switch.off()
        self.lag.clear()

    def deliver(self, event: str, deliver: Callable[[str], None]) -> None:
        """Bring an event to one subscriber, or not, as the switches are set."""
        if self.mute.strikes():
            return
        if self.junk.strikes():
            for text in _JUNK:
                deliver(text)
        for _ in range(2 if self.duplicate.strikes() else 1):
            if self.slow.strikes():
                self._later(event, deliver)
            else:
                deliver(event)

    def close(self) -> None:
        """Forget what is late."""
        for timer in self._late:
            timer.cancel()
        self._late.clear()

    def _later(self, event: str, deliver: Callable[[str], None]) -> None:
        def bring() -> None:
            self._late.discard(timer)
            deliver(event)

        timer = asyncio.get_running_loop().call_later(self._dice.uniform(0, self.lateness), bring)
        self._late.add(timer)

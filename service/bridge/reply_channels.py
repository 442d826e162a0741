"""Several subscriptions used as one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from service.bridge.reply_channel import ReplyChannel, Subscribe


class ReplyChannels:
    """The subscriptions that a reply may arrive on, as one that is live while all of them are.

    `on_change` is called with it whenever it has become live or was lost.
    """

    def __init__(
        self, subscribe: Subscribe, channels: Iterable[str], on_change: Callable[[ReplyChannels], None]
    ) -> None:
        self.live = False
        """Whether all of them are confirmed now; each start asks for it."""
        self.ever_live = False
        """Whether all of them were ever live at once."""
        self._on_change = on_change
        self._members: Sequence[ReplyChannel] = ()
        self._members = [subscribe(channel, self._member_changed) for channel in channels]
        self._member_changed()

    @property
    def down_since(self) -> float | None:
        """When the first of them was lost, by `time.monotonic()`; None while all are live."""
        return min((since for member in self._members if (since := member.down_since) is not None), default=None)

    async def wait_live(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds until all are live; return whether they are."""
        deadline = time.monotonic() + timeout
        for member in self._members:
            if not await member.wait_live(max(0.0, deadline - time.monotonic())):
                return False
        return self.live

    async def wait_answered(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds until all are confirmed or one is refused; return whether all are live."""
        deadline = time.monotonic() + timeout
        for member in self._members:
            if not await member.wait_answered(max(0.0, deadline - time.monotonic())):
                return False
        return self.live

    async def unsubscribe(self) -> None:
        """End all of them, in a bounded time."""
        for member in self._members:
            await member.unsubscribe()

    def _member_changed(self, _member: ReplyChannel | None = None) -> None:
        live = bool(self._members) and all(member.live for member in self._members)
        if live is self.live:
            return
        self.live = live
        self.ever_live = self.ever_live or live
        self._on_change(self)

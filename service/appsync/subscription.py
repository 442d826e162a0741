"""One subscription, as its owner sees it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .errors import SubscribeError


class Waiters:
    """Those who wait for one thing, each on a future of its own.

    Not one shared future: whoever gave up would stay referred to by it for as long as it lasts.
    """

    def __init__(self) -> None:
        self._futures: set[asyncio.Future[bool]] = set()

    def __len__(self) -> int:
        return len(self._futures)

    async def wait(self, timeout: float) -> bool | None:
        """Return what the waiters are woken with, None at the timeout (in seconds)."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._futures.add(future)
        try:
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            return None
        finally:
            self._futures.discard(future)

    def wake(self, *, result: bool) -> None:
        """Wake all who wait now."""
        for future in self._futures:
            if not future.done():
                future.set_result(result)


class Subscription:
    """A channel that a link keeps subscribed, over every reconnect. Made by `Link.subscribe`."""

    def __init__(
        self,
        channel: str,
        on_event: Callable[[str], None],
        on_change: Callable[[Subscription], None] | None,
        on_end: Callable[[Subscription], None],
        timeout: float,
    ) -> None:
        self.channel = channel
        self.on_event = on_event
        self.on_change = on_change
        self._on_end = on_end
        self._timeout = timeout
        self._ended = False
        self._ever_live = False
        self._down_since = time.monotonic()
        self._refused: SubscribeError | None = None
        # On how many connections it is confirmed, and on how many the service may know it: more than one of each
        # while one connection takes over from another.
        self._confirmed = 0
        self._held = 0
        self._live_waiters = Waiters()
        self._answer_waiters = Waiters()
        self._left_waiters = Waiters()

    def __repr__(self) -> str:
        return f"Subscription({self.channel!r}, live={self.live})"

    @property
    def live(self) -> bool:
        """Whether the service has confirmed it on the present connection."""
        return self._confirmed > 0 and not self._ended

    @property
    def ever_live(self) -> bool:
        """Whether it was ever live."""
        return self._ever_live

    @property
    def down_since(self) -> float | None:
        """When it was last noticed to be live no more, or made, by `time.monotonic()`; None while it is live.

        What was published since then is not delivered, nor perhaps what was published shortly before: a connection can
        be dead for minutes before that shows.
        """
        return None if self.live else self._down_since

    @property
    def refused(self) -> SubscribeError | None:
        """Why the service last refused it, though the link goes on to try; None if it never did, or has confirmed."""
        return self._refused

    @property
    def ended(self) -> bool:
        """Whether its owner has ended it, or closed the link."""
        return self._ended

    async def wait_live(self, timeout: float) -> bool:
        """Wait until it is live: True as soon as it is, False after `timeout` seconds or when it has ended."""
        if self.live or self._ended:
            return self.live
        return await self._live_waiters.wait(timeout) or self.live

    async def wait_answered(self, timeout: float) -> bool:
        """Wait until it is live or refused, whichever is first, and tell whether it is live.

        For those who have another way to go if it is refused. After `timeout` seconds, or when it has ended: False.
        """
        if self.live or self._ended or self._refused is not None:
            return self.live
        return await self._answer_waiters.wait(timeout) or self.live

    async def unsubscribe(self) -> None:
        """End it: no event is delivered from now on.

        Waits for the service's word, for a bounded time. Safe at any moment, and more than once.
        """
        self.end()
        self._on_end(self)
        if self._held:
            await self._left_waiters.wait(self._timeout)

    # What follows is for the link.

    def end(self) -> None:
        """Mark it as not wanted any more."""
        if self.live:
            self._down_since = time.monotonic()
        self._ended = True
        self._wake(live=False)

    def hold(self) -> None:
        """Note that it was sent on one connection."""
        self._held += 1

    def confirm(self) -> bool:
        """Note that one connection has it live; tell whether none had."""
        self._confirmed += 1
        if self._ended:
            return False
        self._ever_live = True
        self._refused = None
        self._wake(live=True)
        return self._confirmed == 1

    def refuse(self, error: SubscribeError) -> None:
        """Note a refusal; the connection lets go of it as well."""
        self._refused = error
        self._answer_waiters.wake(result=False)

    def release(self, *, confirmed: bool) -> bool:
        """Note that one connection has it no more, live until now or not; tell whether it thereby was lost."""
        self._held -= 1
        self._confirmed -= confirmed
        lost = confirmed and not self._confirmed and not self._ended
        if lost:
            self._down_since = time.monotonic()
        if not self._held:
            self._left_waiters.wake(result=True)
        return lost

    def _wake(self, *, live: bool) -> None:
        self._live_waiters.wake(result=live)
        self._answer_waiters.wake(result=live)

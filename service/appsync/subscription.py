"""One subscription to a channel."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .errors import SubscribeError


class Waiters:
    """Tasks that wait for the same thing, with timeouts.

    Each has its own future. A shared one would keep references to the tasks that have given up.
    """

    def __init__(self) -> None:
        self._futures: set[asyncio.Future[None]] = set()

    def __len__(self) -> int:
        return len(self._futures)

    async def wait(self, timeout: float) -> None:
        """Wait until `wake` is called, at most for `timeout` seconds."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._futures.add(future)
        try:
            async with asyncio.timeout(timeout):
                await future
        except TimeoutError:
            pass
        finally:
            self._futures.discard(future)

    def wake(self) -> None:
        """Wake all tasks that are waiting."""
        for future in self._futures:
            if not future.done():
                future.set_result(None)


class Subscription:
    """A subscription that a link maintains over every reconnect. Made by `Link.subscribe`."""

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
        # The numbers of connections on which it is confirmed, and on which the service may know it. Each may be 2 while
        # one connection replaces another.
        self._confirmed = 0
        self._requested = 0
        self._live_waiters = Waiters()
        self._answer_waiters = Waiters()
        self._release_waiters = Waiters()

    def __repr__(self) -> str:
        return f"Subscription({self.channel!r}, live={self.live})"

    @property
    def live(self) -> bool:
        """Whether the service has confirmed it on the current connection."""
        return self._confirmed > 0 and not self._ended

    @property
    def ever_live(self) -> bool:
        """Whether it has ever been live."""
        return self._ever_live

    @property
    def down_since(self) -> float | None:
        """The `time.monotonic()` at which its loss was noticed or it was made; None while it is live.

        Events published since then are not delivered, and some published before may be missing as well: a connection
        can be dead for minutes before that is noticed.
        """
        return None if self.live else self._down_since

    @property
    def refused(self) -> SubscribeError | None:
        """The service's last refusal, after which the link makes more attempts; None if it has confirmed since."""
        return self._refused

    @property
    def ended(self) -> bool:
        """Whether its owner has ended it or closed the link."""
        return self._ended

    async def wait_live(self, timeout: float) -> bool:
        """Wait until it is live and return True; return False after `timeout` seconds, or when it has ended."""
        if not self.live and not self._ended:
            await self._live_waiters.wait(timeout)
        return self.live

    async def wait_answered(self, timeout: float) -> bool:
        """Wait until it is live or refused, whichever is first, and return whether it is live.

        For owners that have an alternative if it is refused. Return False after `timeout` seconds, or when it has
        ended.
        """
        if not self.live and not self._ended and self._refused is None:
            await self._answer_waiters.wait(timeout)
        return self.live

    async def unsubscribe(self) -> None:
        """End it: no more events are delivered.

        Waits for the service's response, for a bounded time. May be called at any time, and more than once.
        """
        self.end()
        self._on_end(self)
        if self._requested:
            await self._release_waiters.wait(self._timeout)

    # The rest is for the link.

    def end(self) -> None:
        """Mark it as ended by its owner."""
        if self.live:
            self._down_since = time.monotonic()
        self._ended = True
        self._wake()

    def mark_requested(self) -> None:
        """Count one more connection on which it was requested."""
        self._requested += 1

    def mark_confirmed(self) -> bool:
        """Count one more connection on which it is confirmed; return whether that makes it live."""
        self._confirmed += 1
        if self._ended:
            return False
        self._ever_live = True
        self._refused = None
        self._wake()
        return self._confirmed == 1

    def mark_refused(self, error: SubscribeError) -> None:
        """Store a refusal. The caller also calls `mark_released`."""
        self._refused = error
        self._answer_waiters.wake()

    def mark_released(self, *, confirmed: bool) -> bool:
        """Count one connection fewer, which had `confirmed` it or not; return whether the subscription is now lost."""
        self._requested -= 1
        self._confirmed -= confirmed
        lost = confirmed and not self._confirmed and not self._ended
        if lost:
            self._down_since = time.monotonic()
        if not self._requested:
            self._release_waiters.wake()
        return lost

    def _wake(self) -> None:
        self._live_waiters.wake()
        self._answer_waiters.wake()

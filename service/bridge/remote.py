"""Executions that another instance started, and how their replies are heard here."""

from __future__ import annotations

import asyncio
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from service.bridge.pending import PendingReplies
    from service.bridge.recovery import Recovery

log = structlog.get_logger(__name__)

MOST: Final = 50
"""Channels of single executions at once. A connection has room for 200 subscriptions ("Service quotas", AWS AppSync
Events), and the ones that it lives by must never be the ones that are refused."""

LIVE_WITHIN: Final = 3.0
"""Seconds in which a subscription has to be confirmed; later than that the record is asked instead."""


class Subscription(Protocol):
    """A channel that is subscribed."""

    @property
    def live(self) -> bool:
        """Whether it is confirmed now."""

    async def wait_answered(self, timeout: float) -> bool:
        """Wait until it is confirmed or refused, for `timeout` seconds at the most; tell whether it is confirmed."""

    async def unsubscribe(self) -> None:
        """End it, in a bounded time."""


class Subscribe(Protocol):
    """Makes subscriptions, as `Link.subscribe` does; its events go to the table of waiters."""

    def __call__(self, channel: str, on_change: Callable[[Any], None]) -> Subscription:
        """Subscribe to `channel`; `on_change` is called with the subscription when it went live or was lost."""


class _RemoteSubscription:
    """One execution that is listened to, and how many wait for it."""

    def __init__(self, listening: asyncio.Task[None]) -> None:
        self.listening = listening
        self.users = 0


class RemoteSubscriptions:
    """Listens to channels below those of other instances for as long as somebody waits for their executions.

    `subscribe` makes the subscription of a channel and `prefix` begins the channels that are heard anyway. Where a
    channel cannot be subscribed, recovery reads the record instead.
    """

    def __init__(self, subscribe: Subscribe, prefix: str, recovery: Recovery, replies: PendingReplies) -> None:
        self._subscribe = subscribe
        self._prefix = prefix
        self._namespace = prefix.partition("/")[0]
        self._recovery = recovery
        self._replies = replies
        self._joins: dict[str, _RemoteSubscription] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._joins)

    @contextmanager
    def listening(self, execution_id: str, channel: str) -> Iterator[None]:
        """Hear the reply of an execution in the block; `channel` is what its own input names.

        Register the waiter first. What ended before the channel was heard is then read from the record.
        """
        if channel == self._prefix + execution_id:
            if self._replies.has_left(execution_id):
                # Its reply may have come while nobody waited, and the record tells of an end later than the reply does.
                self._recovery.lookup_missed([execution_id])
            yield
            return
        join = self._joins.get(execution_id)
        if join is None:
            join = self._joins[execution_id] = _RemoteSubscription(
                asyncio.create_task(self._listen(execution_id, channel))
            )
            self._tasks.add(join.listening)
            join.listening.add_done_callback(self._tasks.discard)
        join.users += 1
        try:
            yield
        finally:
            join.users -= 1
            if not join.users:
                del self._joins[execution_id]
                join.listening.cancel()

    async def aclose(self) -> None:
        """Wait until the last subscriptions have ended; each does so in a bounded time."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self, execution_id: str, channel: str) -> None:
        subscription = self._open(execution_id, channel)
        try:
            if subscription is None or not await subscription.wait_answered(LIVE_WITHIN):
                log.info("execution_not_heard", execution_id=execution_id)
                with self._recovery.polling(execution_id):
                    await self._for_ever()
            await self._for_ever()
        finally:
            if subscription is not None:
                await subscription.unsubscribe()

    def _open(self, execution_id: str, channel: str) -> Subscription | None:
        # The channel was read from somebody's input: only one of ours, for this execution, is worth a subscription.
        namespace, _, rest = channel.partition("/")
        instance, _, last = rest.partition("/")
        ours = (namespace, last) == (self._namespace, execution_id) and re.fullmatch(r"[A-Za-z0-9-]{1,50}", instance)
        if len(self._joins) > MOST or not ours:
            return None

        def on_change(subscription: Subscription) -> None:
            if subscription.live:  # what was published before is not sent again
                self._recovery.lookup_missed([execution_id])

        return self._subscribe(channel, on_change)

    @staticmethod
    async def _for_ever() -> None:
        """Wait until cancelled, as one is when nobody waits any more."""
        await asyncio.get_running_loop().create_future()

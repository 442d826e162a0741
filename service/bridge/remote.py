"""Replies of executions that another instance started."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import structlog

from service.appsync import is_segment
from service.bridge.background import BackgroundTasks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.bridge.pending import PendingReplies
    from service.bridge.recovery import Recovery
    from service.bridge.reply_channel import ReplyChannel, Subscribe

log = structlog.get_logger(__name__)

MAX_REMOTE_SUBSCRIPTIONS: Final = 50
"""Subscriptions to single executions at once. A connection has room for 200 subscriptions ("Service quotas", AWS
AppSync Events), and the instance's own must never be refused."""

SUBSCRIBE_TIMEOUT_S: Final = 3.0
"""Seconds until a subscription has to be confirmed; after that the record is polled instead."""


class _RemoteSubscription:
    """One execution that is subscribed to, and how many requests wait for it."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self.task = task
        self.users = 0


class RemoteSubscriptions:
    """Subscribes to single executions of other instances while requests wait for them.

    `subscribe` makes a subscription; this instance is subscribed anyway to all channels that begin with `prefix`. If a
    channel cannot be subscribed, recovery polls the record instead.
    """

    def __init__(self, subscribe: Subscribe, prefix: str, recovery: Recovery, replies: PendingReplies) -> None:
        self._subscribe = subscribe
        self._prefix = prefix
        self._namespace = prefix.partition("/")[0]
        self._recovery = recovery
        self._replies = replies
        self._subscriptions: dict[str, _RemoteSubscription] = {}
        self._tasks = BackgroundTasks()

    def __len__(self) -> int:
        return len(self._subscriptions)

    def own_channel(self, execution_id: str) -> str:
        """Return the channel for the reply of an execution that this instance starts."""
        return self._prefix + execution_id

    @contextmanager
    def listening(self, execution_id: str, channel: str) -> Iterator[None]:
        """Receive the reply of an execution until the block ends; `channel` is the one that its own input names.

        Register the waiter first. What ended before the channel was subscribed is then read from the record.
        """
        if channel == self.own_channel(execution_id):
            if self._replies.was_pending(execution_id):
                # Its reply may have come while no request was waiting; the record shows the end only after the reply.
                self._recovery.lookup_missed([execution_id])
            yield
            return
        subscription = self._subscriptions.get(execution_id)
        if subscription is None:
            task = self._tasks.spawn(self._listen(execution_id, channel))
            subscription = self._subscriptions[execution_id] = _RemoteSubscription(task)
        subscription.users += 1
        try:
            yield
        finally:
            subscription.users -= 1
            if not subscription.users:
                del self._subscriptions[execution_id]
                subscription.task.cancel()

    async def aclose(self) -> None:
        """Wait until the last subscriptions have ended; each ends in a bounded time."""
        await self._tasks.aclose()

    async def _listen(self, execution_id: str, channel: str) -> None:
        """Subscribe, or poll, until cancelled, which happens when the last waiting request leaves."""
        cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        subscription = self._open(execution_id, channel)
        try:
            if subscription is None or not await subscription.wait_answered(SUBSCRIBE_TIMEOUT_S):
                log.info("execution_polled", execution_id=execution_id)
                with self._recovery.polling(execution_id):
                    await cancelled
            await cancelled
        finally:
            if subscription is not None:
                await subscription.unsubscribe()

    def _open(self, execution_id: str, channel: str) -> ReplyChannel | None:
        # The channel comes from the input of an execution that anyone may have started: subscribe only to channels of
        # this service, and only to that of this execution.
        namespace, _, rest = channel.partition("/")
        instance, _, last = rest.partition("/")
        expected = (namespace, last) == (self._namespace, execution_id) and is_segment(instance) and is_segment(last)
        if len(self._subscriptions) > MAX_REMOTE_SUBSCRIPTIONS or not expected:
            return None

        def on_change(subscription: ReplyChannel) -> None:
            if subscription.live:  # what was published before is not sent again
                self._recovery.lookup_missed([execution_id])

        return self._subscribe(channel, on_change)

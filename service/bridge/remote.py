"""Replies of executions that another instance started."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import structlog

from service.appsync import is_segment
from service.bridge.background import BackgroundTasks
from service.bridge.ids import KEYED_SHARD, shard_of
from service.bridge.reply_channels import ReplyChannels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from service.bridge.pending import PendingReplies
    from service.bridge.recovery import Recovery
    from service.bridge.reply_channel import Subscribe

log = structlog.get_logger(__name__)

MAX_REMOTE_EXECUTIONS: Final = 50
"""Executions that are subscribed to at once, by up to two subscriptions each. A connection has room for 200 ("Service
quotas", AWS AppSync Events), and the instance's own must never be refused."""

SUBSCRIBE_TIMEOUT_S: Final = 3.0
"""Seconds until a subscription has to be confirmed; after that the record is polled instead."""


class _RemoteSubscription:
    """One execution that is subscribed to, and how many requests wait for it."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None]
        self.users = 0
        self.answered = asyncio.Event()
        """Set once it is confirmed, or the record is polled instead."""


class RemoteSubscriptions:
    """Subscribes to single executions of other instances while requests wait for them.

    `subscribe` makes a subscription. This instance is subscribed anyway to `own_channels`: to the replies of its own
    workflows, and to the ends of ids with its own `shard` or from idempotency keys. If another
    channel cannot be subscribed, recovery polls the record instead.
    """

    def __init__(
        self,
        subscribe: Subscribe,
        recovery: Recovery,
        replies: PendingReplies,
        *,
        namespace: str,
        instance: str,
        shard: str,
    ) -> None:
        self._subscribe = subscribe
        self._namespace = namespace
        self._prefix = f"{namespace}/{instance}/"
        self._shards = (shard, KEYED_SHARD)
        self._recovery = recovery
        self._replies = replies
        self._subscriptions: dict[str, _RemoteSubscription] = {}
        self._tasks = BackgroundTasks()

    def __len__(self) -> int:
        return len(self._subscriptions)

    @property
    def own_channels(self) -> list[str]:
        """The channels that this instance needs to be subscribed to before it starts anything."""
        return [f"{self._prefix}*", *(f"{self._namespace}/ended/{shard}/*" for shard in self._shards)]

    def own_channel(self, execution_id: str) -> str:
        """Return the channel for the reply of an execution that this instance starts."""
        return self._prefix + execution_id

    @contextmanager
    def listening(self, execution_id: str, channel: str | None, *, idle: bool = False) -> Iterator[None]:
        """Receive the reply of an execution until the block ends; `channel` is the one in its own input, if any.

        Register the waiter first. What ended before the channels were subscribed is then read from the record, unless
        the execution is `idle`: it has ended, and is about to be redriven.
        """
        if channel is None and shard_of(execution_id) is None:
            with self._recovery.polling(execution_id):  # nothing reports its end
                yield
            return
        channels = self._other_channels(execution_id, channel)
        if not channels:
            if self._replies.was_pending(execution_id) and not idle:
                # Its reply may have come while no request was waiting; the record shows the end only after the reply.
                self._recovery.lookup_missed([execution_id])
            yield
            return
        subscription = self._subscriptions.get(execution_id)
        if subscription is None:
            subscription = self._subscriptions[execution_id] = _RemoteSubscription()
            subscription.task = self._tasks.spawn(self._listen(execution_id, channels, subscription.answered))
        subscription.users += 1
        try:
            yield
        finally:
            subscription.users -= 1
            if not subscription.users:
                del self._subscriptions[execution_id]
                subscription.task.cancel()

    async def wait_answered(self, execution_id: str) -> None:
        """Wait until the reply can be received, or the record is polled instead; call it inside `listening`."""
        if (subscription := self._subscriptions.get(execution_id)) is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(SUBSCRIBE_TIMEOUT_S):
                    await subscription.answered.wait()

    async def aclose(self) -> None:
        """Wait until the last subscriptions have ended; each ends in a bounded time."""
        await self._tasks.aclose()

    def _other_channels(self, execution_id: str, channel: str | None) -> list[str]:
        """Return the channels that may report this execution's end, but for those that are subscribed to anyway."""
        other = [] if channel is None or channel == self.own_channel(execution_id) else [channel]
        shard = shard_of(execution_id)
        if shard is not None and shard not in self._shards:
            other.append(f"{self._namespace}/ended/{shard}/{execution_id}")
        return other

    async def _listen(self, execution_id: str, channels: Sequence[str], answered: asyncio.Event) -> None:
        """Subscribe, or poll, until cancelled, which happens when the last waiting request leaves."""
        cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        subscriptions = self._open(execution_id, channels)
        try:
            if subscriptions is None or not await subscriptions.wait_answered(SUBSCRIBE_TIMEOUT_S):
                log.info("execution_polled", execution_id=execution_id)
                with self._recovery.polling(execution_id):
                    answered.set()
                    await cancelled
            answered.set()
            await cancelled
        finally:
            if subscriptions is not None:
                await subscriptions.unsubscribe()

    def _open(self, execution_id: str, channels: Sequence[str]) -> ReplyChannels | None:
        if len(self._subscriptions) > MAX_REMOTE_EXECUTIONS:
            return None
        if not all(self._is_expected(channel, execution_id) for channel in channels):
            return None

        def on_change(subscriptions: ReplyChannels) -> None:
            if subscriptions.live:  # what was published before is not sent again
                self._recovery.lookup_missed([execution_id])

        return ReplyChannels(self._subscribe, channels, on_change)

    def _is_expected(self, channel: str, execution_id: str) -> bool:
        # The reply's channel comes from the input of an execution that anyone may have started: subscribe only to
        # channels of this service, and only to that of this execution.
        match channel.split("/"):
            case [namespace, instance, last] | [namespace, "ended", instance, last]:
                expected = (namespace, last) == (self._namespace, execution_id)
                return expected and is_segment(instance) and is_segment(last)
        return False

"""The subscriptions that the bridge needs, as `service.appsync` provides them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class ReplyChannel(Protocol):
    """A subscription to a channel on which replies arrive."""

    @property
    def live(self) -> bool:
        """Whether it is confirmed now."""

    @property
    def ever_live(self) -> bool:
        """Whether it was ever confirmed."""

    @property
    def down_since(self) -> float | None:
        """When it was lost, by `time.monotonic()`; None while it is live."""

    async def wait_live(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds until it is live; return whether it is."""

    async def wait_answered(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds until it is confirmed or refused; return whether it is live."""

    async def unsubscribe(self) -> None:
        """End it, in a bounded time."""


class Subscribe(Protocol):
    """Makes subscriptions whose events go to `PendingReplies.deliver`."""

    def __call__(self, channel: str, on_change: Callable[[ReplyChannel], None]) -> ReplyChannel:
        """Subscribe to `channel`; `on_change` is called with the subscription after each change of its state."""

"""One subscription, as its owner sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .errors import SubscribeError


class Subscription:
    """A channel that a link keeps subscribed, over every reconnect."""

    channel: str

    @property
    def live(self) -> bool:
        raise NotImplementedError

    @property
    def ever_live(self) -> bool:
        raise NotImplementedError

    @property
    def down_since(self) -> float | None:
        raise NotImplementedError

    @property
    def error(self) -> SubscribeError | None:
        raise NotImplementedError

    async def wait_live(self, timeout: float) -> bool:
        raise NotImplementedError

    async def unsubscribe(self) -> None:
        raise NotImplementedError

"""A link: one connection to AppSync Events that is kept up for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import TracebackType

    from .auth import Authorizer
    from .events import LinkEvent
    from .subscription import Subscription


class Link:
    """One AppSync Events connection that is kept up for ever."""

    def __init__(
        self,
        realtime_url: str,
        authorizer: Authorizer,
        *,
        on_change: Callable[[LinkEvent], None] | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        raise NotImplementedError

    frames_received: int
    malformed_frames: int
    unknown_ids: int
    reconnects: int

    @property
    def connected(self) -> bool:
        raise NotImplementedError

    def open(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def subscribe(self, channel: str, on_event: Callable[[str], None]) -> Subscription:
        raise NotImplementedError

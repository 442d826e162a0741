"""An observer of the link: it logs and counts events, and adds up the time without a subscription for replies."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from service.appsync import LinkEventKind
from service.telemetry.guard import guarded

if TYPE_CHECKING:
    from service.appsync import LinkEvent

log = structlog.get_logger(__name__)

# An operator has to know about the other events: they are warnings.
_INFORMATION: Final = frozenset({LinkEventKind.UP, LinkEventKind.RENEWED, LinkEventKind.SUBSCRIPTION_CONFIRMED})


class _Channel(Protocol):
    @property
    def live(self) -> bool: ...

    @property
    def ever_live(self) -> bool: ...

    @property
    def down_since(self) -> float | None: ...


class LinkObserver:
    """Logs the events of a link, counts them by kind, and adds up how long no reply could be received.

    Confirmed subscriptions to the channels of single executions come and go with requests. There are too many of them
    for a level above `DEBUG`.
    """

    def __init__(self) -> None:
        self.events: Counter[LinkEventKind] = Counter()
        self._lost_at: float | None = None
        self._lost_seconds = 0.0

    def on_event(self, event: LinkEvent) -> None:
        """Log and count an event; pass this as the link's `on_link_event`."""
        self.events[event.kind] += 1 + event.suppressed
        if event.kind is LinkEventKind.SUBSCRIPTION_CONFIRMED and not (event.channel or "").endswith("/*"):
            level = log.debug
        else:
            level = log.info if event.kind in _INFORMATION else log.warning
        level(
            f"link_{event.kind}",
            reason=event.reason,
            close_code=event.close_code,
            error_type=event.error_type,
            host=event.host,
            channel=event.channel,
            attempt=event.attempt,
            delay=event.delay,
            suppressed=event.suppressed,
        )

    @guarded  # what follows a change, such as recovery, matters more
    def on_channel_change(self, channel: _Channel) -> None:
        """Note that the channel for replies went up or down; call this from its `on_change`."""
        if not channel.live and channel.ever_live:
            self._lost_at = channel.down_since
        elif channel.live:
            self._lost_seconds = self.disconnected
            self._lost_at = None

    @property
    def disconnected(self) -> float:
        """Seconds without a subscription for replies until now, not counting those before the first one."""
        return self._lost_seconds + (0.0 if self._lost_at is None else max(0.0, time.monotonic() - self._lost_at))

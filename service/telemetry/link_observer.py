"""What happens to the link, as an operator is told: in the log, and counted."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from service.appsync import LinkEventKind

if TYPE_CHECKING:
    from service.appsync import LinkEvent

log = structlog.get_logger(__name__)

# What an operator has to know is a warning; the rest of the link's life is information.
_INFORMATION: Final = frozenset({LinkEventKind.UP, LinkEventKind.RENEWED, LinkEventKind.SUBSCRIPTION_CONFIRMED})


class _Channel(Protocol):
    @property
    def live(self) -> bool: ...

    @property
    def ever_live(self) -> bool: ...

    @property
    def down_since(self) -> float | None: ...


class LinkObserver:
    """Logs the events of a link and counts them by kind; adds up how long replies could not be heard.

    Those of the channels of single executions, which come and go with requests, are too many for more than `DEBUG`.
    """

    def __init__(self) -> None:
        self.events: Counter[LinkEventKind] = Counter()
        self._lost_at: float | None = None
        self._lost_seconds = 0.0

    def told(self, event: LinkEvent) -> None:
        """Take an event, as the link's `on_change`."""
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
            channel=event.channel,
            attempt=event.attempt,
            delay=event.delay,
            suppressed=event.suppressed,
        )

    def changed(self, channel: _Channel) -> None:
        """Take a change of the channel for replies, as its `on_change`."""
        if not channel.live and channel.ever_live:
            self._lost_at = channel.down_since
        elif channel.live:
            self._lost_seconds = self.disconnected
            self._lost_at = None

    @property
    def disconnected(self) -> float:
        """Seconds for which no reply could be heard since the first time that one could, until now."""
        return self._lost_seconds + (0.0 if self._lost_at is None else max(0.0, time.monotonic() - self._lost_at))

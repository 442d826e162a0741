"""Events of a link, for its operator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from .throttle import Throttle


class LinkEventKind(StrEnum):
    """What happened."""

    UP = "up"
    """A connection was acknowledged."""
    DOWN = "down"
    """An acknowledged connection ended."""
    CONNECT_FAILED = "connect_failed"
    """A connection failed to open."""
    REFUSED = "refused"
    """The service refused the connection, because of its credentials or the request."""
    REFRESH_FAILED = "refresh_failed"
    """The authorizer failed to read its credentials again."""
    RENEWED = "renewed"
    """A new connection has replaced the old one."""
    RENEWAL_FAILED = "renewal_failed"
    """A new connection could not replace the old one, which stays in use."""
    SUBSCRIPTION_CONFIRMED = "subscription_confirmed"
    """A subscription is live."""
    SUBSCRIPTION_REFUSED = "subscription_refused"
    """The service refused a subscription."""
    SUBSCRIPTION_UNANSWERED = "subscription_unanswered"
    """A subscription was neither confirmed nor refused in time, or could not be authorised."""
    ERROR_FRAME = "error_frame"
    """The service reported a failed broadcast, or an error that belongs to no subscription."""
    MALFORMED_FRAME = "malformed_frame"
    """A frame was not a valid message of the protocol and was skipped."""
    HANDLER_ERROR = "handler_error"
    """A subscription's `on_event` or `on_change` raised; an event counts as delivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEvent:
    """One event of a link. It never holds a key, an authorisation or any part of a channel's events."""

    kind: LinkEventKind
    """What happened."""

    reason: str = ""
    """Why it happened, for a log; empty if the kind says it all."""

    close_code: int | None = None
    """The code of the close frame (RFC 6455); None if there was none."""

    error_type: str | None = None
    """The service's name of the error, or the class of the exception."""

    host: str = ""
    """The host of the real-time endpoint, with its port if the URL has one."""

    channel: str | None = None
    """The channel of the subscription that the event is about."""

    attempt: int = 0
    """The number of the attempt, from 1; it starts again once a connection has been up for a while."""

    delay: float | None = None
    """Seconds until the next attempt; None if no attempt follows."""

    suppressed: int = 0
    """How many events of this kind were suppressed since the last one, because there were too many."""


class EventThrottle:
    """A throttle for the kinds of events that a peer or a handler can cause with every frame."""

    KINDS = frozenset({LinkEventKind.MALFORMED_FRAME, LinkEventKind.ERROR_FRAME, LinkEventKind.HANDLER_ERROR})
    INTERVAL_S = 60.0
    """Minimum seconds between two events of one such kind; the second one counts those suppressed in between."""

    def __init__(self) -> None:
        self._throttle = Throttle(self.INTERVAL_S)

    def throttle(self, event: LinkEvent, now: float) -> LinkEvent | None:
        """Return the event to report, or None to suppress it; `now` is any monotonic clock."""
        if event.kind not in self.KINDS:
            return event
        suppressed = self._throttle.admit(event.kind, now)
        return None if suppressed is None else replace(event, suppressed=suppressed)

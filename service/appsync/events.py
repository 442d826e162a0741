"""What a link tells its operator."""

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
    """A connection could not be made."""
    REFUSED = "refused"
    """The service refused the connection: credentials or request."""
    REFRESH_FAILED = "refresh_failed"
    """The authorizer could not read its credentials again."""
    RENEWED = "renewed"
    """A new connection has taken over from the old one."""
    RENEWAL_FAILED = "renewal_failed"
    """No new connection could take over; the old one goes on."""
    SUBSCRIPTION_CONFIRMED = "subscription_confirmed"
    """A subscription is live."""
    SUBSCRIPTION_REFUSED = "subscription_refused"
    """The service refused a subscription."""
    SUBSCRIPTION_UNANSWERED = "subscription_unanswered"
    """A subscription was neither confirmed nor refused in time, or could not be authorised."""
    ERROR_FRAME = "error_frame"
    """The service reported an error that belongs to no subscription, or a failed broadcast."""
    MALFORMED_FRAME = "malformed_frame"
    """A frame was not a message of the protocol; it was skipped."""
    HANDLER_ERROR = "handler_error"
    """A subscription's `on_event` raised; the event counts as delivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEvent:
    """One event of a link's life. It never holds a key, an authorisation or anything of an event's body.

    `attempt` counts the tries since the link was last up for a while, from 1; `delay` is the time in seconds until the
    next one, None where none is due. `error_type` is the service's name of the error, or the exception's class name.
    `suppressed` counts the events of this kind that were left out since the last one, because they came too fast.
    """

    kind: LinkEventKind
    reason: str = ""
    close_code: int | None = None
    error_type: str | None = None
    channel: str | None = None
    attempt: int = 0
    delay: float | None = None
    suppressed: int = 0


class EventThrottle:
    """Leaves out events of the kinds that a peer or a handler can bring about with every frame, when they come fast."""

    KINDS = frozenset({LinkEventKind.MALFORMED_FRAME, LinkEventKind.ERROR_FRAME, LinkEventKind.HANDLER_ERROR})
    INTERVAL = 60.0
    """Seconds in which one event of such a kind is told; the next one that is told counts the others."""

    def __init__(self) -> None:
        self._throttle = Throttle(self.INTERVAL)

    def throttle(self, event: LinkEvent, now: float) -> LinkEvent | None:
        """Return what is to be told, None for nothing; `now` is any monotonic clock."""
        if event.kind not in self.KINDS:
            return event
        suppressed = self._throttle.admit(event.kind, now)
        return None if suppressed is None else replace(event, suppressed=suppressed)

"""Calls to the owners of subscriptions: their events, and their changes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .events import LinkEvent, LinkEventKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from .protocol import Data
    from .subscription import Subscription


class Owners:
    """Calls `on_event` and `on_change` of subscriptions. What these raise is reported and never raised."""

    def __init__(self, report: Callable[[LinkEvent], None]) -> None:
        self._report = report
        self.is_copy: Callable[[Subscription, str], bool] | None = None
        """Set while two sessions overlap: counts an event and returns whether the other session has delivered it."""

    def deliver(self, subscription: Subscription, data: Data) -> None:
        """Hand over the events of a frame, without those that another session has delivered."""
        for event in data.events:
            if self.is_copy is not None and self.is_copy(subscription, event):
                continue
            try:
                subscription.on_event(event)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a handler may raise anything
                self._report_error(subscription, error)

    def notify(self, subscription: Subscription) -> None:
        """Notify the owner of a subscription that it has changed."""
        if subscription.on_change is not None:
            try:
                subscription.on_change(subscription)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a handler may raise anything
                self._report_error(subscription, error)

    def _report_error(self, subscription: Subscription, error: BaseException) -> None:
        # A CancelledError counts as well: from a plain function, it is not this task's cancellation but the result of a
        # cancelled future that the handler read. Only the class is reported: the error's text may contain the event.
        self._report(
            LinkEvent(kind=LinkEventKind.HANDLER_ERROR, error_type=type(error).__name__, channel=subscription.channel)
        )

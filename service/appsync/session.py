"""The subscriptions on one connection, reconciled with those of the link.

The link's subscriptions outlive connections; a session only reads them. So two sessions can serve the same
subscriptions for a while, each with its own ids.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NoReturn

from .auth import CredentialRefresher
from .errors import SubscribeError
from .events import LinkEvent, LinkEventKind
from .protocol import Confirmed, Data, ErrorReported, Malformed, ProtocolEvent, SubscribeRefused, Unsubscribed
from .tasks import cancel_and_wait

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from .auth import Authorizer
    from .connection import Connection
    from .errors import ErrorDetail
    from .subscription import Subscription
    from .timing import Backoff, Timeouts


class _Stage(Enum):
    IDLE = "idle"  # to be requested when due
    REQUESTED = "requested"  # times out when due
    LIVE = "live"
    UNSUBSCRIBING = "unsubscribing"  # times out when due


@dataclass(slots=True, eq=False)
class _Slot:
    subscription: Subscription
    stage: _Stage = _Stage.IDLE
    id: str = ""
    due: float = 0.0
    attempts: int = 0
    refusals: int = 0


class Session:
    """The subscriptions on one acknowledged connection."""

    def __init__(
        self,
        subscriptions: Collection[Subscription],
        authorizer: Authorizer,
        report: Callable[[LinkEvent], None],
        timeouts: Timeouts,
        backoff: Backoff,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._subscriptions = subscriptions
        self._authorizer = authorizer
        self._report = report
        self._timeouts = timeouts
        self._backoff = backoff
        self._slots: dict[Subscription, _Slot] = {}
        self._by_id: dict[str, _Slot] = {}
        self._orphans: list[str] = []  # ids that were confirmed after their timeout
        self._credentials_refused = False  # and not read again since
        self._refresher = CredentialRefresher(authorizer, timeouts.subscribe, report)
        self._changed = asyncio.Event()
        self._progress = asyncio.Event()
        self.is_copy: Callable[[Subscription, str], bool] | None = None
        """Set while two sessions overlap: counts an event and returns whether the other session has delivered it."""

    async def run(self, connection: Connection) -> NoReturn:
        """Maintain the subscriptions until the connection ends.

        Raises what ended it: ConnectionLostError or RefusedError.
        """
        writer = asyncio.create_task(self._reconcile(connection), name="appsync-subscriptions")

        def abort(writer: asyncio.Task[None]) -> None:
            # Without its writer, the session would stay connected without subscriptions.
            error_type = "CancelledError" if writer.cancelled() else type(writer.exception()).__name__
            connection.abort(f"subscribing ended by {error_type}")

        writer.add_done_callback(abort)
        try:
            await connection.receive(self.handle)
        finally:
            writer.remove_done_callback(abort)
            await cancel_and_wait(writer)
            for slot in list(self._slots.values()):
                self._release(slot)

    def wake(self) -> None:
        """Reconcile: subscriptions were added or ended."""
        self._changed.set()
        self._progress.set()

    async def wait_caught_up(self) -> None:
        """Wait until every subscription that is live on any connection is live on this one."""
        while not all(self._has_live(subscription) for subscription in self._subscriptions if subscription.live):
            self._progress.clear()
            await self._progress.wait()

    def report_gap(self) -> None:
        """Notify the owners of live subscriptions that events may be missing, although no loss was noticed."""
        for slot in tuple(self._slots.values()):
            if slot.stage is _Stage.LIVE and not slot.subscription.ended:
                self._notify(slot.subscription)

    def _has_live(self, subscription: Subscription) -> bool:
        slot = self._slots.get(subscription)
        return slot is not None and slot.stage is _Stage.LIVE

    def handle(self, event: ProtocolEvent) -> None:
        """Process one event of the connection. Never raises, whatever a subscription's `on_event` does."""
        if type(event) is Data:
            slot = self._by_id.get(event.id)
            if slot is not None and not slot.subscription.ended:
                self._deliver(slot.subscription, event)
            return
        match event:
            case Confirmed(id_):
                self._confirm(id_)
                self._progress.set()
            case SubscribeRefused(id_, details):
                self._refuse(id_, details)
            case Unsubscribed(id_):
                slot = self._by_id.get(id_)
                if slot is not None:
                    self._release(slot)
            case ErrorReported(details):
                for detail in details:
                    self._report(
                        LinkEvent(kind=LinkEventKind.ERROR_FRAME, reason=str(detail), error_type=detail.error_type)
                    )
            case Malformed(reason):
                self._report(LinkEvent(kind=LinkEventKind.MALFORMED_FRAME, reason=reason))
            case _:
                pass

    def _deliver(self, subscription: Subscription, data: Data) -> None:
        for event in data.events:
            if self.is_copy is not None and self.is_copy(subscription, event):
                continue
            try:
                subscription.on_event(event)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a handler may raise anything
                self._report_handler_error(subscription, error)

    def _notify(self, subscription: Subscription) -> None:
        """Notify the owner of a subscription that it has changed."""
        if subscription.on_change is not None:
            try:
                subscription.on_change(subscription)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a handler may raise anything
                self._report_handler_error(subscription, error)

    def _report_handler_error(self, subscription: Subscription, error: BaseException) -> None:
        # That includes CancelledError: from a plain function, it is not this task's cancellation but the result of a
        # cancelled future that the handler read. The error's text may contain the event; its class does not.
        self._report(
            LinkEvent(kind=LinkEventKind.HANDLER_ERROR, error_type=type(error).__name__, channel=subscription.channel)
        )

    def _confirm(self, id_: str) -> None:
        slot = self._by_id.get(id_)
        if slot is None:  # confirmed after its timeout; without an unsubscribe, its events would arrive twice
            self._orphans.append(id_)
            self._changed.set()
            return
        slot.stage = _Stage.LIVE
        slot.attempts = slot.refusals = 0
        went_live = slot.subscription.mark_confirmed()
        if slot.subscription.ended:
            self._changed.set()
            return
        self._report(LinkEvent(kind=LinkEventKind.SUBSCRIPTION_CONFIRMED, channel=slot.subscription.channel))
        if went_live:
            self._notify(slot.subscription)

    def _refuse(self, id_: str, details: tuple[ErrorDetail, ...]) -> None:
        slot = self._by_id.get(id_)
        if slot is None:
            return
        self._release(slot)
        if slot.subscription.ended:
            return
        self._changed.set()
        error = SubscribeError(slot.subscription.channel, details)
        slot.subscription.mark_refused(error)
        self._credentials_refused = self._credentials_refused or error.is_refusal
        slot.refusals = slot.refusals + 1 if error.is_refusal else 0
        self._retry_later(slot, LinkEventKind.SUBSCRIPTION_REFUSED, str(error), error.error_type)
        self._notify(slot.subscription)

    def _retry_later(self, slot: _Slot, kind: LinkEventKind, reason: str, error_type: str | None = None) -> None:
        slot.attempts += 1
        delay = self._backoff.refused_delay(slot.refusals, slot.attempts)
        slot.due = self._loop.time() + delay
        slot.stage = _Stage.IDLE
        self._slots[slot.subscription] = slot
        self._report(
            LinkEvent(
                kind=kind,
                reason=reason,
                error_type=error_type,
                channel=slot.subscription.channel,
                attempt=slot.attempts,
                delay=delay,
            )
        )

    def _release(self, slot: _Slot) -> None:
        """Forget a subscription: the service no longer knows it, or this connection has ended."""
        del self._slots[slot.subscription]
        if self._by_id.pop(slot.id, None) is not None:
            confirmed = slot.stage in {_Stage.LIVE, _Stage.UNSUBSCRIBING}
            if slot.subscription.mark_released(confirmed=confirmed):
                self._notify(slot.subscription)

    async def _reconcile(self, connection: Connection) -> None:
        while True:
            self._changed.clear()
            while self._orphans:
                id_ = self._orphans.pop()
                if id_ in connection.protocol.live:
                    await connection.send(connection.protocol.unsubscribe(id_))
            for subscription in tuple(self._subscriptions):
                if subscription not in self._slots:
                    self._slots[subscription] = _Slot(subscription)
            for slot in tuple(self._slots.values()):
                if self._slots.get(slot.subscription) is slot:  # a response may have removed it in the meantime
                    await self._advance(connection, slot)
            dues = (slot.due for slot in self._slots.values() if slot.stage is not _Stage.LIVE)
            due = min(dues, default=math.inf)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(None if due == math.inf else due):
                    await self._changed.wait()

    async def _advance(self, connection: Connection, slot: _Slot) -> None:
        is_due = slot.due <= self._loop.time()
        match slot.stage:
            case _Stage.IDLE if slot.subscription.ended:
                self._release(slot)
            case _Stage.IDLE if is_due:
                await self._request(connection, slot)
            case _Stage.REQUESTED if is_due:
                self._time_out(connection, slot)
            case _Stage.LIVE if slot.subscription.ended:
                slot.stage = _Stage.UNSUBSCRIBING
                slot.due = self._loop.time() + self._timeouts.subscribe
                await connection.send(connection.protocol.unsubscribe(slot.id))
            case _Stage.UNSUBSCRIBING if is_due:
                self._release(slot)
            case _:
                pass

    async def _request(self, connection: Connection, slot: _Slot) -> None:
        channel = slot.subscription.channel
        if self._credentials_refused:
            self._credentials_refused = False
            await self._refresher.refresh()
        try:
            async with asyncio.timeout(self._timeouts.subscribe):
                authorization = await self._authorizer.subscribe(channel)
        except Exception as error:  # noqa: BLE001 - an authorizer may raise anything, and its text may hold a secret
            reason = "the authorizer failed"
            self._retry_later(slot, LinkEventKind.SUBSCRIPTION_UNANSWERED, reason, type(error).__name__)
            return
        if slot.subscription.ended:
            self._release(slot)
            return
        slot.id, frame = connection.protocol.subscribe(channel, authorization)
        slot.stage = _Stage.REQUESTED
        slot.due = self._loop.time() + self._timeouts.subscribe
        self._by_id[slot.id] = slot
        slot.subscription.mark_requested()
        await connection.send(frame)

    def _time_out(self, connection: Connection, slot: _Slot) -> None:
        self._release(slot)
        if slot.subscription.ended:
            return
        reason = f"no response within {self._timeouts.subscribe:g} s"
        self._retry_later(slot, LinkEventKind.SUBSCRIPTION_UNANSWERED, reason)
        if not connection.protocol.live:
            # It may be half open, which the watchdog would notice only after minutes. No live subscription is lost.
            connection.abort("no response to subscribe")

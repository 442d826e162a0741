"""What is subscribed on one connection, kept equal to what is wanted.

What is wanted belongs to the link and outlives connections; a session only reads it. So two sessions can serve the same
subscriptions for a while, each with ids of its own.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NoReturn

from .auth import Refresher
from .errors import SubscribeError
from .events import LinkEvent, LinkEventKind
from .protocol import Confirmed, Data, ErrorReported, Event, Malformed, SubscribeRefused, Unsubscribed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from .auth import Authorizer
    from .connection import Connection
    from .errors import ErrorDetail
    from .subscription import Subscription
    from .timing import Backoff, Timeouts


class _Stage(Enum):
    IDLE = "idle"  # to be sent when due
    ASKED = "asked"  # unanswered when due
    LIVE = "live"
    DRAINING = "leaving"  # given up when due


@dataclass(slots=True, eq=False)
class _Slot:
    subscription: Subscription
    stage: _Stage = _Stage.IDLE
    id: str = ""
    due: float = 0.0
    tries: int = 0
    refusals: int = 0


class Session:
    """The subscriptions on one acknowledged connection."""

    def __init__(
        self,
        wanted: Collection[Subscription],
        authorizer: Authorizer,
        report: Callable[[LinkEvent], None],
        timeouts: Timeouts,
        backoff: Backoff,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._wanted = wanted
        self._authorizer = authorizer
        self._report = report
        self._timeouts = timeouts
        self._backoff = backoff
        self._slots: dict[Subscription, _Slot] = {}
        self._by_id: dict[str, _Slot] = {}
        self._strays: list[str] = []
        self._stale = False  # the credentials were refused and not read again since
        self._refresher = Refresher(authorizer, timeouts.subscribe, report)
        self._changed = asyncio.Event()
        self._progress = asyncio.Event()
        self.is_copy: Callable[[Subscription, str], bool] | None = None
        """While two sessions overlap: takes note of an event, and tells whether the other one has delivered it."""

    async def run(self, connection: Connection) -> NoReturn:
        """Keep the subscriptions until the connection ends.

        Raises what ended it: ConnectionLostError or RefusedError.
        """
        writer = asyncio.create_task(self._reconcile(connection), name="appsync-subscriptions")

        def abandon(writer: asyncio.Task[None]) -> None:
            # Without its writer the session would sit there, connected and never subscribed.
            fault = "CancelledError" if writer.cancelled() else type(writer.exception()).__name__
            connection.abandon(f"subscribing ended by {fault}")

        writer.add_done_callback(abandon)
        try:
            await connection.receive(self.handle)
        finally:
            writer.remove_done_callback(abandon)
            writer.cancel()
            await asyncio.wait([writer])
            for slot in list(self._slots.values()):
                self._release(slot)

    def wake(self) -> None:
        """Tell that what is wanted has changed."""
        self._changed.set()
        self._progress.set()

    async def caught_up(self) -> None:
        """Wait until all that is live on any connection is live on this one."""
        while not all(self._has_live(subscription) for subscription in self._wanted if subscription.live):
            self._progress.clear()
            await self._progress.wait()

    def tell_gap(self) -> None:
        """Tell the owners of what is live that they may have missed something, though it was never lost."""
        for slot in tuple(self._slots.values()):
            if slot.stage is _Stage.LIVE and not slot.subscription.ended:
                self._tell(slot.subscription)

    def _has_live(self, subscription: Subscription) -> bool:
        slot = self._slots.get(subscription)
        return slot is not None and slot.stage is _Stage.LIVE

    def handle(self, event: Event) -> None:
        """Take one event of the connection. Never raises, whatever a subscription's `on_event` does."""
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
                self._report_handler(subscription, error)

    def _tell(self, subscription: Subscription) -> None:
        """Tell the owner of a subscription that it has changed."""
        if subscription.on_change is not None:
            try:
                subscription.on_change(subscription)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a handler may raise anything
                self._report_handler(subscription, error)

    def _report_handler(self, subscription: Subscription, error: BaseException) -> None:
        # CancelledError as well: out of a plain function it is no cancellation of ours, only the result of some
        # cancelled future that the handler asked for. The error's text may hold the event, its class does not.
        self._report(
            LinkEvent(kind=LinkEventKind.HANDLER_ERROR, error_type=type(error).__name__, channel=subscription.channel)
        )

    def _confirm(self, id_: str) -> None:
        slot = self._by_id.get(id_)
        if slot is None:  # confirmed after it was given up; it has to go, or its events would come twice
            self._strays.append(id_)
            self._changed.set()
            return
        slot.stage = _Stage.LIVE
        slot.tries = slot.refusals = 0
        came_live = slot.subscription.confirm()
        if slot.subscription.ended:
            self._changed.set()
            return
        self._report(LinkEvent(kind=LinkEventKind.SUBSCRIPTION_CONFIRMED, channel=slot.subscription.channel))
        if came_live:
            self._tell(slot.subscription)

    def _refuse(self, id_: str, details: tuple[ErrorDetail, ...]) -> None:
        slot = self._by_id.get(id_)
        if slot is None:
            return
        self._release(slot)
        if slot.subscription.ended:
            return
        self._changed.set()
        error = SubscribeError(slot.subscription.channel, details)
        slot.subscription.refuse(error)
        self._stale = self._stale or error.is_refusal
        slot.refusals = slot.refusals + 1 if error.is_refusal else 0
        self._retry_later(slot, LinkEventKind.SUBSCRIPTION_REFUSED, str(error), error.error_type)
        self._tell(slot.subscription)

    def _retry_later(self, slot: _Slot, kind: LinkEventKind, reason: str, error_type: str | None = None) -> None:
        slot.tries += 1
        delay = self._backoff.delay_refused(slot.refusals, slot.tries)
        slot.due = self._loop.time() + delay
        slot.stage = _Stage.IDLE
        self._slots[slot.subscription] = slot
        self._report(
            LinkEvent(
                kind=kind,
                reason=reason,
                error_type=error_type,
                channel=slot.subscription.channel,
                attempt=slot.tries,
                delay=delay,
            )
        )

    def _release(self, slot: _Slot) -> None:
        """Let go of a subscription: the service does not know it any more, or this connection has ended."""
        del self._slots[slot.subscription]
        if self._by_id.pop(slot.id, None) is not None:
            confirmed = slot.stage in {_Stage.LIVE, _Stage.DRAINING}
            if slot.subscription.release(confirmed=confirmed):
                self._tell(slot.subscription)

    async def _reconcile(self, connection: Connection) -> None:
        while True:
            self._changed.clear()
            while self._strays:
                id_ = self._strays.pop()
                if id_ in connection.protocol.live:
                    await connection.send(connection.protocol.unsubscribe(id_))
            for subscription in tuple(self._wanted):
                if subscription not in self._slots:
                    self._slots[subscription] = _Slot(subscription)
            for slot in tuple(self._slots.values()):
                if self._slots.get(slot.subscription) is slot:  # an answer may have removed it meanwhile
                    await self._advance(connection, slot)
            dues = (slot.due for slot in self._slots.values() if slot.stage is not _Stage.LIVE)
            due = min(dues, default=math.inf)
            try:
                async with asyncio.timeout_at(None if due == math.inf else due):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _advance(self, connection: Connection, slot: _Slot) -> None:
        is_due = slot.due <= self._loop.time()
        match slot.stage:
            case _Stage.IDLE if slot.subscription.ended:
                self._release(slot)
            case _Stage.IDLE if is_due:
                await self._ask(connection, slot)
            case _Stage.ASKED if is_due:
                self._give_up(connection, slot)
            case _Stage.LIVE if slot.subscription.ended:
                slot.stage = _Stage.DRAINING
                slot.due = self._loop.time() + self._timeouts.subscribe
                await connection.send(connection.protocol.unsubscribe(slot.id))
            case _Stage.DRAINING if is_due:
                self._release(slot)
            case _:
                pass

    async def _ask(self, connection: Connection, slot: _Slot) -> None:
        channel = slot.subscription.channel
        if self._stale:
            self._stale = False
            await self._refresher.refresh()
        try:
            async with asyncio.timeout(self._timeouts.subscribe):
                authorization = await self._authorizer.subscribe(channel)
        except Exception as error:  # noqa: BLE001 - an authorizer may raise anything, its text is not ours to tell
            reason = "the authorizer failed"
            self._retry_later(slot, LinkEventKind.SUBSCRIPTION_UNANSWERED, reason, type(error).__name__)
            return
        if slot.subscription.ended:
            self._release(slot)
            return
        slot.id, frame = connection.protocol.subscribe(channel, authorization)
        slot.stage = _Stage.ASKED
        slot.due = self._loop.time() + self._timeouts.subscribe
        self._by_id[slot.id] = slot
        slot.subscription.hold()
        await connection.send(frame)

    def _give_up(self, connection: Connection, slot: _Slot) -> None:
        self._release(slot)
        if slot.subscription.ended:
            return
        self._retry_later(slot, LinkEventKind.SUBSCRIPTION_UNANSWERED, "no answer in time")
        if not connection.protocol.live:
            # Nothing is lost with it, and it may be half open: the watchdog would take minutes to see that.
            connection.abandon("subscribe not answered")

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
from .errors import AuthorizerError, SubscribeError, error_name
from .events import LinkEvent, LinkEventKind
from .owners import Owners
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
class _Entry:
    """The state of one subscription on this connection."""

    subscription: Subscription
    stage: _Stage = _Stage.IDLE
    id: str = ""
    """The id of its last subscribe message; empty before the first one."""

    due: float = 0.0
    """When its stage is due, by the event loop's clock."""

    attempts: int = 0
    """Failed attempts since it was last live."""

    refusals: int = 0
    """Refusals in a row among them."""


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
        self._entries: dict[Subscription, _Entry] = {}
        self._by_id: dict[str, _Entry] = {}
        self._orphans: list[str] = []  # ids that were confirmed after their timeout
        self._credentials_refused = False  # and not read again since
        self._refresher = CredentialRefresher(authorizer, timeouts.subscribe, report)
        self._changed = asyncio.Event()
        self._progress = asyncio.Event()
        self.owners = Owners(report)

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
            for entry in list(self._entries.values()):
                self._release(entry)

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
        for entry in tuple(self._entries.values()):
            if entry.stage is _Stage.LIVE and not entry.subscription.ended:
                self.owners.notify(entry.subscription)

    def _has_live(self, subscription: Subscription) -> bool:
        entry = self._entries.get(subscription)
        return entry is not None and entry.stage is _Stage.LIVE

    def handle(self, event: ProtocolEvent) -> None:
        """Process one event of the connection. Never raises, whatever a subscription's `on_event` does."""
        if type(event) is Data:
            entry = self._by_id.get(event.id)
            if entry is not None and not entry.subscription.ended:
                self.owners.deliver(entry.subscription, event)
            return
        match event:
            case Confirmed(id_):
                self._confirm(id_)
                self._progress.set()
            case SubscribeRefused(id_, details):
                self._refuse(id_, details)
            case Unsubscribed(id_):
                entry = self._by_id.get(id_)
                if entry is not None:
                    self._release(entry)
            case ErrorReported(details):
                for detail in details:
                    self._report(
                        LinkEvent(kind=LinkEventKind.ERROR_FRAME, reason=str(detail), error_type=detail.error_type)
                    )
            case Malformed(reason):
                self._report(LinkEvent(kind=LinkEventKind.MALFORMED_FRAME, reason=reason))
            case _:
                pass

    def _confirm(self, id_: str) -> None:
        entry = self._by_id.get(id_)
        if entry is None:  # confirmed after its timeout; without an unsubscribe, its events would arrive twice
            self._orphans.append(id_)
            self._changed.set()
            return
        entry.stage = _Stage.LIVE
        entry.attempts = entry.refusals = 0
        went_live = entry.subscription.mark_confirmed()
        if entry.subscription.ended:
            self._changed.set()
            return
        self._report(LinkEvent(kind=LinkEventKind.SUBSCRIPTION_CONFIRMED, channel=entry.subscription.channel))
        if went_live:
            self.owners.notify(entry.subscription)

    def _refuse(self, id_: str, details: tuple[ErrorDetail, ...]) -> None:
        entry = self._by_id.get(id_)
        if entry is None:
            return
        self._release(entry)
        if entry.subscription.ended:
            return
        self._changed.set()
        error = SubscribeError(entry.subscription.channel, details)
        entry.subscription.mark_refused(error)
        self._credentials_refused = self._credentials_refused or error.is_refusal
        entry.refusals = entry.refusals + 1 if error.is_refusal else 0
        self._retry_later(entry, LinkEventKind.SUBSCRIPTION_REFUSED, str(error), error.error_type)
        self.owners.notify(entry.subscription)

    def _retry_later(self, entry: _Entry, kind: LinkEventKind, reason: str, error_type: str | None = None) -> None:
        entry.attempts += 1
        delay = self._backoff.refused_delay(entry.refusals, entry.attempts)
        entry.due = self._loop.time() + delay
        entry.stage = _Stage.IDLE
        self._entries[entry.subscription] = entry
        self._report(
            LinkEvent(
                kind=kind,
                reason=reason,
                error_type=error_type,
                channel=entry.subscription.channel,
                attempt=entry.attempts,
                delay=delay,
            )
        )

    def _release(self, entry: _Entry) -> None:
        """Forget a subscription: the service no longer knows it, or this connection has ended."""
        del self._entries[entry.subscription]
        if self._by_id.pop(entry.id, None) is not None:
            confirmed = entry.stage in {_Stage.LIVE, _Stage.UNSUBSCRIBING}
            if entry.subscription.mark_released(confirmed=confirmed):
                self.owners.notify(entry.subscription)

    async def _reconcile(self, connection: Connection) -> None:
        while True:
            self._changed.clear()
            while self._orphans:
                id_ = self._orphans.pop()
                if id_ in connection.protocol.live:
                    await connection.send(connection.protocol.unsubscribe(id_))
            for subscription in tuple(self._subscriptions):
                if subscription not in self._entries:
                    self._entries[subscription] = _Entry(subscription)
            for entry in tuple(self._entries.values()):
                if self._entries.get(entry.subscription) is entry:  # a response may have removed it in the meantime
                    await self._advance(connection, entry)
            dues = (entry.due for entry in self._entries.values() if entry.stage is not _Stage.LIVE)
            due = min(dues, default=math.inf)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(None if due == math.inf else due):
                    await self._changed.wait()

    async def _advance(self, connection: Connection, entry: _Entry) -> None:
        is_due = entry.due <= self._loop.time()
        match entry.stage:
            case _Stage.IDLE if entry.subscription.ended:
                self._release(entry)
            case _Stage.IDLE if is_due:
                await self._request(connection, entry)
            case _Stage.REQUESTED if is_due:
                self._time_out(connection, entry)
            case _Stage.LIVE if entry.subscription.ended:
                entry.stage = _Stage.UNSUBSCRIBING
                entry.due = self._loop.time() + self._timeouts.subscribe
                await connection.send(connection.protocol.unsubscribe(entry.id))
            case _Stage.UNSUBSCRIBING if is_due:
                self._release(entry)
            case _:
                pass

    async def _request(self, connection: Connection, entry: _Entry) -> None:
        channel = entry.subscription.channel
        if self._credentials_refused:
            self._credentials_refused = False
            await self._refresher.refresh()
        try:
            async with asyncio.timeout(self._timeouts.subscribe):
                authorization = await self._authorizer.subscribe(channel)
        except Exception as error:  # noqa: BLE001 - an authorizer may raise anything, and its text may hold a secret
            reason = str(error) if isinstance(error, AuthorizerError) else "the authorizer failed"
            self._retry_later(entry, LinkEventKind.SUBSCRIPTION_UNANSWERED, reason, error_name(error))
            return
        if entry.subscription.ended:
            self._release(entry)
            return
        entry.id, frame = connection.protocol.subscribe(channel, authorization)
        entry.stage = _Stage.REQUESTED
        entry.due = self._loop.time() + self._timeouts.subscribe
        self._by_id[entry.id] = entry
        entry.subscription.mark_requested()
        await connection.send(frame)

    def _time_out(self, connection: Connection, entry: _Entry) -> None:
        self._release(entry)
        if entry.subscription.ended:
            return
        reason = f"no response within {self._timeouts.subscribe:g} s"
        self._retry_later(entry, LinkEventKind.SUBSCRIPTION_UNANSWERED, reason)
        if not connection.protocol.live:
            # It may be half open, which the watchdog would notice only after minutes. No live subscription is lost.
            connection.abort("no response to subscribe")

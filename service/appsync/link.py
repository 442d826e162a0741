"""A link: a connection to AppSync Events that reconnects by itself, and its subscriptions."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NoReturn, Self
from urllib.parse import urlsplit

from .active_connections import ActiveConnections, as_connection_lost
from .auth import CredentialRefresher
from .channels import for_subscribe
from .connection import Route
from .errors import ConnectionLostError, LinkClosedError, RefusedError
from .events import EventThrottle, LinkEvent, LinkEventKind
from .renewal import Renewer
from .subscription import Subscription
from .timing import Backoff, Renewal, Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from .auth import Authorizer


class Link:
    """A connection to AppSync Events that reconnects until it is closed.

    `realtime_url` is the API's real-time endpoint, `wss://.../event/realtime`. `on_link_event` is called synchronously
    with everything that an operator may want to know. `ssl_context` is for a private certificate authority, also for
    that of an https:// proxy. `proxy` is the URL of an HTTP or HTTPS proxy, or None for none; without it, a proxy is
    taken from the environment. An endpoint on this machine is always called directly.

    After a loss, the link reconnects with a backoff, which starts again once a connection has lasted `backoff.cap`.
    After a refusal, the authorizer reads its credentials again; while they stay the same, attempts are slow. Every
    subscription is repeated on each connection. A new connection replaces the old one before the service ends it for
    its age, or when nothing is received on it any more. Between two healthy connections, no event is lost or repeated.

    Raises ValueError for a URL that is not WebSocket or has no host.
    """

    def __init__(
        self,
        realtime_url: str,
        authorizer: Authorizer,
        *,
        on_link_event: Callable[[LinkEvent], None] | None = None,
        timeouts: Timeouts | None = None,
        backoff: Backoff | None = None,
        renewal: Renewal | None = None,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | Literal[True] | None = True,
    ) -> None:
        url = urlsplit(realtime_url)
        if url.scheme not in {"ws", "wss"} or not url.hostname:
            raise ValueError("the real-time endpoint must be a ws:// or wss:// URL with a host")
        if url.scheme == "wss" and ssl_context is None:
            # Made once: reading the certificate authorities for each attempt would block the event loop for a while.
            ssl_context = ssl.create_default_context()
        self._host = url.netloc.rpartition("@")[2]
        self._on_link_event = on_link_event
        self._timeouts = timeouts or Timeouts()
        self._backoff = backoff or Backoff()
        self._event_throttle = EventThrottle()
        self._acknowledged = 0
        self._up_since = 0.0
        self._subscriptions: dict[Subscription, None] = {}  # an ordered set
        self._connections = ActiveConnections(
            authorizer,
            self._subscriptions.keys(),
            self._report,
            self._timeouts,
            self._backoff,
            Route(realtime_url, ssl_context, proxy),
        )
        self._refresher = CredentialRefresher(authorizer, self._timeouts.connect, self._report)
        self._renewer = Renewer(self._connections, self._refresher, renewal or Renewal(), self._report)
        self._supervisor: asyncio.Task[None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"Link({self._host!r}, connected={self.connected})"

    @property
    def connected(self) -> bool:
        """Whether the service has acknowledged a connection that is still open."""
        return bool(self._connections)

    @property
    def silence(self) -> float | None:
        """Seconds since the last frame, which may be a keep-alive; None without a connection."""
        return self._connections.silence

    @property
    def frames_received(self) -> int:
        """Number of frames received, valid or not."""
        return self._connections.counters.frames

    @property
    def malformed_frames(self) -> int:
        """Number of frames that were not valid messages of the protocol."""
        return self._connections.counters.malformed

    @property
    def unknown_ids(self) -> int:
        """Number of messages about unknown or ended subscriptions, late events included."""
        return self._connections.counters.unknown_ids

    @property
    def unknown_types(self) -> int:
        """Number of messages of unknown types."""
        return self._connections.counters.unknown_types

    @property
    def reconnects(self) -> int:
        """How many times the link has reconnected."""
        return max(0, self._acknowledged - 1)

    def open(self) -> None:
        """Start to connect in the background. Does nothing if the link is open.

        Raises LinkClosedError after `close`. Network errors are never raised, only reported to `on_link_event`.
        """
        if self._closed:
            raise LinkClosedError("the link is closed")
        if self._supervisor is None:
            self._supervisor = asyncio.create_task(self._supervise(), name="appsync-link")

    async def close(self) -> None:
        """End every subscription, the connection and all background tasks, in a bounded time. Idempotent."""
        self._closed = True
        ending = list(self._subscriptions)
        for subscription in ending:
            subscription.end()
        self._subscriptions.clear()
        supervisor = self._supervisor
        if supervisor is None:
            return
        try:
            # The guide says to unsubscribe before closing; otherwise the service may drop events that are in transit.
            if self._connections:
                self._connections.wake()
                async with asyncio.timeout(self._timeouts.close):
                    for subscription in ending:
                        await subscription.unsubscribe()
        except TimeoutError:
            pass
        finally:
            supervisor.cancel()
            await asyncio.wait([supervisor])

    async def __aenter__(self) -> Self:
        self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def subscribe(
        self,
        channel: str,
        on_event: Callable[[str], None],
        on_change: Callable[[Subscription], None] | None = None,
    ) -> Subscription:
        """Subscribe to a channel, as soon as there is a connection and again on each later one.

        `on_event` is called with the JSON text of each event. `on_change` is called with the subscription whenever it
        goes live, is lost or is refused; its properties say which. If it goes live again without having been lost, a
        half-open connection was replaced, and events may be missing. `unsubscribe` does not call it.

        Both must return quickly, because the receive loop calls them. What they raise is reported to the link's
        `on_link_event`. Raises ChannelError for an invalid channel, LinkClosedError after `close`.
        """
        if self._closed:
            raise LinkClosedError("the link is closed")
        subscription = Subscription(for_subscribe(channel), on_event, on_change, self._remove, self._timeouts.subscribe)
        self._subscriptions[subscription] = None
        self._connections.wake()
        return subscription

    def _remove(self, subscription: Subscription) -> None:
        self._subscriptions.pop(subscription, None)
        self._connections.wake()

    async def _supervise(self) -> None:
        clock = asyncio.get_running_loop().time
        attempt = refusals = 0
        delay = 0.0
        loss: ConnectionLostError | None = None
        while True:
            attempt += 1
            acknowledged = self._acknowledged
            try:
                if loss is not None:
                    await self._back_off(delay, refused=isinstance(loss, RefusedError))
                await self._serve(attempt)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - see as_connection_lost
                loss = as_connection_lost(error)
            if self._closed:  # an authorizer may have turned the cancellation into another error
                return
            was_up = self._acknowledged > acknowledged
            # Only a connection that lasted resets the backoff; one that is closed immediately would cause a busy loop.
            if was_up and clock() - self._up_since > self._backoff.cap:
                attempt, refusals = 1, 0
            refusals = refusals + 1 if isinstance(loss, RefusedError) else refusals
            is_refused = isinstance(loss, RefusedError)
            delay = self._backoff.refused_delay(refusals, attempt) if is_refused else self._backoff.delay(attempt)
            self._report_loss(loss, attempt, delay, was_up=was_up)

    async def _back_off(self, delay: float, *, refused: bool) -> None:
        """Wait before the next attempt; after a refusal, only until the credentials have changed."""
        clock = asyncio.get_running_loop().time
        end = clock() + delay
        while True:
            remaining = max(0.0, end - clock())
            await asyncio.sleep(min(remaining, self._backoff.refresh_interval) if refused else remaining)
            if not refused or await self._refresher.refresh() or clock() >= end:
                return

    async def _serve(self, attempt: int) -> NoReturn:
        """Serve one connection, and those that replace it, until one is lost; raise what ended it."""
        try:
            connection = await self._connections.open()
            self._acknowledged += 1
            self._up_since = asyncio.get_running_loop().time()
            self._report(LinkEvent(kind=LinkEventKind.UP, attempt=attempt))
            while True:
                connection = await self._renewer.replace_when_due(connection)
        finally:
            await self._connections.close()

    def _report_loss(self, loss: ConnectionLostError, attempt: int, delay: float, *, was_up: bool) -> None:
        kind = LinkEventKind.DOWN if was_up else LinkEventKind.CONNECT_FAILED
        error_type = None
        if isinstance(loss, RefusedError):
            kind = LinkEventKind.REFUSED
            error_type = loss.details[0].error_type if loss.details else None
        self._report(
            LinkEvent(
                kind=kind,
                reason=loss.reason,
                close_code=loss.close_code,
                error_type=error_type,
                attempt=attempt,
                delay=delay,
            )
        )

    def _report(self, event: LinkEvent) -> None:
        reported = self._event_throttle.throttle(replace(event, host=self._host), time.monotonic())
        if self._on_link_event is None or reported is None:
            return
        try:
            self._on_link_event(reported)
        except Exception as error:  # noqa: BLE001 - an observer must not end the link
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"on_link_event of {self!r} raised on {event.kind}", "exception": error}
            )

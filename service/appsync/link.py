"""A link: one connection to AppSync Events that is kept up for ever, and what is subscribed over it."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import TYPE_CHECKING, NoReturn, Self
from urllib.parse import urlsplit

from .auth import Refresher
from .channels import for_subscribe
from .errors import ConnectionLostError, LinkClosedError, RefusedError
from .events import EventThrottle, LinkEvent, LinkEventKind
from .line import Lines, as_loss
from .renewal import Renewer
from .subscription import Subscription
from .timing import Backoff, Renewal, Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from .auth import Authorizer


class Link:
    """One AppSync Events connection that is kept up for ever.

    `realtime_url` is the API's real-time endpoint, `wss://.../event/realtime`. `on_change` is told, synchronously, of
    all that an operator may want to know. `ssl_context` is for a private certificate authority. A proxy is taken from
    the environment, except for an endpoint on this machine.

    A lost connection is made again after a backoff, which starts anew once a connection has lasted `backoff.cap`; a
    refused one after the authorizer has read its credentials again, and then slowly, unless others are to be had.
    Every subscription is made again on each connection. Before the service ends a connection for its age, or when
    nothing comes on it any more, a new one takes over; between two that are well, without a gap or a repeated event.

    Raises ValueError for a URL that is not WebSocket or has no host.
    """

    def __init__(
        self,
        realtime_url: str,
        authorizer: Authorizer,
        *,
        on_change: Callable[[LinkEvent], None] | None = None,
        timeouts: Timeouts | None = None,
        backoff: Backoff | None = None,
        renewal: Renewal | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        url = urlsplit(realtime_url)
        if url.scheme not in {"ws", "wss"} or not url.hostname:
            raise ValueError("the real-time endpoint has to be a ws:// or wss:// URL with a host")
        if url.scheme == "wss" and ssl_context is None:
            # Made once: reading the certificate authorities anew for each try would block the loop for a while.
            ssl_context = ssl.create_default_context()
        self._url = realtime_url
        self._on_change = on_change
        self._timeouts = timeouts or Timeouts()
        self._backoff = backoff or Backoff()
        self._event_throttle = EventThrottle()
        self._acknowledged = 0
        self._up_since = 0.0
        self._wanted: dict[Subscription, None] = {}  # in the order of subscribing
        self._lines = Lines(
            realtime_url, authorizer, self._wanted.keys(), self._report, self._timeouts, self._backoff, ssl_context
        )
        self._refresher = Refresher(authorizer, self._timeouts.connect, self._report)
        self._renewer = Renewer(self._lines, self._refresher, renewal or Renewal(), self._report)
        self._supervisor: asyncio.Task[None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"Link({urlsplit(self._url).hostname!r}, connected={self.connected})"

    @property
    def connected(self) -> bool:
        """Whether there is a connection that the service has acknowledged."""
        return bool(self._lines)

    @property
    def silence(self) -> float | None:
        """Seconds since the last frame, a keep-alive included; None without a connection."""
        return self._lines.silence

    @property
    def frames_received(self) -> int:
        """Frames received in all, whatever they held."""
        return self._lines.counters.frames

    @property
    def malformed_frames(self) -> int:
        """Frames that were no message of the protocol."""
        return self._lines.counters.malformed

    @property
    def unknown_ids(self) -> int:
        """Messages about a subscription that is not, or no more: a late event counts so, too."""
        return self._lines.counters.unknown_ids

    @property
    def unknown_types(self) -> int:
        """Messages of a type that this client does not know."""
        return self._lines.counters.unknown_types

    @property
    def reconnects(self) -> int:
        """How often the link came up again."""
        return max(0, self._acknowledged - 1)

    def open(self) -> None:
        """Start to connect, in the background. Does nothing when open.

        Raises LinkClosedError after `close`. Trouble with the network is never raised, only told to `on_change`.
        """
        if self._closed:
            raise LinkClosedError("the link is closed")
        if self._supervisor is None:
            self._supervisor = asyncio.create_task(self._supervise(), name="appsync-link")

    async def close(self) -> None:
        """End every subscription and the connection, in a bounded time; afterwards nothing is left. Idempotent."""
        self._closed = True
        leaving = list(self._wanted)
        for subscription in leaving:
            subscription.end()
        self._wanted.clear()
        supervisor = self._supervisor
        if supervisor is None:
            return
        try:
            # The guide asks to unsubscribe before closing, lest the service drops what is under way.
            if self._lines:
                self._lines.wake()
                async with asyncio.timeout(self._timeouts.close):
                    for subscription in leaving:
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
        """Subscribe to a channel: as soon as there is a connection, and again on each later one.

        `on_event` is called with the JSON text of each event. `on_change` is called with the subscription just after it
        went live, was lost, or was refused, in the order in which that happened; its properties tell which. Live
        without a loss before means that a half-open connection was replaced, and events may be missing all the same.
        Its owner's own `unsubscribe` is no change. Both must be quick, for they are called from the receive loop; what
        they raise is told to the link's `on_change`. Raises ChannelError for a bad channel, LinkClosedError after
        `close`.
        """
        if self._closed:
            raise LinkClosedError("the link is closed")
        subscription = Subscription(for_subscribe(channel), on_event, on_change, self._forget, self._timeouts.subscribe)
        self._wanted[subscription] = None
        self._lines.wake()
        return subscription

    def _forget(self, subscription: Subscription) -> None:
        self._wanted.pop(subscription, None)
        self._lines.wake()

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
                    await self._pause(delay, refused=isinstance(loss, RefusedError))
                await self._serve(attempt)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - see as_loss
                loss = as_loss(error)
            if self._closed:  # an authorizer may have turned the cancellation into an error of its own
                return
            was_up = self._acknowledged > acknowledged
            # Only a connection that lasted starts the backoff anew, else one that is closed at once would spin.
            if was_up and clock() - self._up_since > self._backoff.cap:
                attempt, refusals = 1, 0
            refusals = refusals + 1 if isinstance(loss, RefusedError) else refusals
            is_refused = isinstance(loss, RefusedError)
            delay = self._backoff.delay_refused(refusals, attempt) if is_refused else self._backoff.delay(attempt)
            self._report_loss(loss, attempt, delay, was_up=was_up)

    async def _pause(self, delay: float, *, refused: bool) -> None:
        """Wait before the next try; after a refusal, only until there are other credentials."""
        clock = asyncio.get_running_loop().time
        end = clock() + delay
        while True:
            left = max(0.0, end - clock())
            await asyncio.sleep(min(left, self._backoff.reread) if refused else left)
            if not refused or await self._refresher.refresh() or clock() >= end:
                return

    async def _serve(self, attempt: int) -> NoReturn:
        """Serve one connection, and those that take over from it, until one ends; raise what ended it."""
        try:
            line = await self._lines.open()
            self._acknowledged += 1
            self._up_since = asyncio.get_running_loop().time()
            self._report(LinkEvent(kind=LinkEventKind.UP, attempt=attempt))
            while True:
                line = await self._renewer.outlive(line)
        finally:
            await self._lines.close()

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
        reported = self._event_throttle.throttle(event, time.monotonic())
        if self._on_change is None or reported is None:
            return
        try:
            self._on_change(reported)
        except Exception as error:  # noqa: BLE001 - an observer must not end what it observes
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"on_change of {self!r} raised on {event.kind}", "exception": error}
            )

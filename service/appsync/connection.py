"""One WebSocket connection to AppSync Events."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Literal, NoReturn
from urllib.parse import urlsplit

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.protocol import State
from websockets.typing import Subprotocol

from .errors import (
    REFUSAL_CODES,
    AuthorizerError,
    ConnectionLostError,
    ErrorDetail,
    RefusedError,
    error_name,
)
from .protocol import ConnectionRefused, Counters, Protocol, ProtocolEvent

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from .auth import Authorizer
    from .timing import Timeouts

MAX_FRAME_BYTES = 2 * 2**20
"""The largest event is 240 KB, or six times that as a JSON string in which every byte is escaped."""

MAX_QUEUED_FRAMES = 1024
"""The receive loop awaits only frames, so at most one read's worth is ever queued. With the default of 16, each read of
many small frames would pause and resume the socket, at the cost of two system calls."""

WATCHDOG_INTERVAL_S = 1.0
"""Seconds between two checks of a healthy connection; they also find a close that the peer does not complete."""

WATCHDOG_RECHECK_DELAY_S = 0.25
"""Seconds until a dead-looking connection is checked again before it is aborted. Frames that the kernel buffered while
this process was suspended are read in that time."""

# At DEBUG level, websockets logs every frame and the handshake, which contains the credentials. So it gets a logger
# that the application's configuration cannot reach; exceptions carry everything about a connection that matters.
_MUTED_LOGGER = logging.Logger("appsync.websocket", logging.CRITICAL)  # noqa: LOG001 - it must not be in the registry
_MUTED_LOGGER.addHandler(logging.NullHandler())


class _Connect(connect):
    """`websockets.connect` without redirects: their target would receive the credentials in the subprotocol."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


def subprotocols(authorization: Mapping[str, str]) -> list[Subprotocol]:
    """Return what the handshake offers: the protocol's name, and the authorisation as unpadded base64url."""
    encoded = urlsafe_b64encode(orjson.dumps(authorization)).rstrip(b"=").decode()
    return [Subprotocol("aws-appsync-event-ws"), Subprotocol(f"header-{encoded}")]


@dataclass(frozen=True, slots=True)
class Route:
    """Where connections go, and how."""

    url: str

    tls: ssl.SSLContext | None
    """The certificates to trust, for wss:// and https:// proxies."""

    proxy: str | Literal[True] | None
    """The URL of the proxy; None to connect directly, True to take it from the environment (HTTPS_PROXY etc.)."""

    def options(self) -> dict[str, Any]:
        """Return the options of `websockets.connect`."""
        proxy = None if is_loopback(self.url) else self.proxy
        options: dict[str, Any] = {"proxy": proxy, "ssl": self.tls if urlsplit(self.url).scheme == "wss" else None}
        if isinstance(proxy, str) and proxy.startswith("https:") and self.tls is not None:
            options["proxy_ssl"] = self.tls
        return options


class Connection:
    """A WebSocket that the service has acknowledged; made by `Connection.open`."""

    def __init__(self, websocket: ClientConnection, timeouts: Timeouts, counters: Counters) -> None:
        self._loop = asyncio.get_running_loop()
        self._websocket = websocket
        self._timeouts = timeouts
        self.protocol = Protocol(time.monotonic(), counters)
        self._abort_reason: str | None = None
        self._looks_dead = False
        self._watchdog: asyncio.TimerHandle | None = None

    @classmethod
    async def open(
        cls,
        route: Route,
        authorizer: Authorizer,
        on_event: Callable[[ProtocolEvent], None],
        *,
        timeouts: Timeouts,
        counters: Counters,
    ) -> Connection:
        """Connect and wait for the acknowledgement.

        Raises RefusedError if an immediate retry is pointless, otherwise ConnectionLostError.
        """
        websocket = await _connect(route, authorizer, timeouts)
        connection = cls(websocket, timeouts, counters)
        try:
            async with asyncio.timeout(timeouts.ack):
                # A service that refuses the connection may close it before this is sent; its reasons can still be read.
                with contextlib.suppress(ConnectionClosed):
                    await websocket.send(connection.protocol.initiate(), text=True)
                while not connection.protocol.acknowledged:
                    connection._receive(await websocket.recv(decode=False), on_event)
        except BaseException as error:
            await connection._abort_and_wait()
            if isinstance(error, TimeoutError):
                raise ConnectionLostError(f"no acknowledgement within {timeouts.ack:g} s") from None
            if isinstance(error, ConnectionClosed):
                raise connection._loss(error) from None
            raise
        return connection

    async def receive(self, on_event: Callable[[ProtocolEvent], None]) -> NoReturn:
        """Pass everything received to `on_event` until the connection ends.

        Raises ConnectionLostError or RefusedError when it does.
        """
        recv, receive, clock = self._websocket.recv, self.protocol.receive, time.monotonic
        self._run_watchdog()
        try:
            while True:
                # decode=False saves a conversion to str: the JSON parser validates the UTF-8 itself.
                event = receive(await recv(decode=False), clock())
                if event is not None:
                    if type(event) is ConnectionRefused:
                        raise self._refusal(event)
                    on_event(event)
        except ConnectionClosed as closed:
            raise self._loss(closed) from None
        finally:
            self._stop_watchdog()

    async def send(self, frame: bytes) -> None:
        """Send one frame. Raises nothing: `receive` raises if the connection has ended or its peer does not read."""
        try:
            async with asyncio.timeout(self._timeouts.subscribe):
                await self._websocket.send(frame, text=True)
        except TimeoutError:
            self.abort("the peer does not read")
        except ConnectionClosed:
            pass

    def abort(self, reason: str) -> None:
        """End the connection immediately, without a closing handshake, which needs a live peer."""
        self._abort_reason = self._abort_reason or reason
        self._websocket.transport.abort()

    async def close(self) -> None:
        """Close with the closing handshake, within its timeout; the socket is closed afterwards in any case."""
        self._stop_watchdog()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timeouts.close):
                    await self._websocket.close()
        finally:
            await self._abort_and_wait()

    async def _abort_and_wait(self) -> None:
        self._websocket.transport.abort()
        await self._websocket.wait_closed()

    def _receive(self, frame: bytes, on_event: Callable[[ProtocolEvent], None]) -> None:
        event = self.protocol.receive(frame, time.monotonic())
        if isinstance(event, ConnectionRefused):
            raise self._refusal(event)
        if event is not None:
            on_event(event)

    def _refusal(self, event: ConnectionRefused) -> ConnectionLostError:
        refusal = RefusedError(event.details)
        if any(detail.is_refusal for detail in event.details):
            return refusal
        return ConnectionLostError(refusal.reason)  # such as a rate limit: the next attempt may succeed

    def _loss(self, closed: ConnectionClosed) -> ConnectionLostError:
        if self._abort_reason is not None:
            return ConnectionLostError(self._abort_reason)
        # The reason in a close frame may be any text, so it is not repeated; those of the service do not help.
        reason = "closed by the peer" if closed.rcvd else "connection lost"
        return ConnectionLostError(reason, close_code=_close_code(closed))

    def _run_watchdog(self) -> None:
        now = time.monotonic()
        silent = now >= self.protocol.deadline
        looks_dead = silent or self._websocket.state is not State.OPEN
        if looks_dead and self._looks_dead:
            self.abort(f"nothing received for {self.protocol.timeout:g} s" if silent else "close not completed")
            return
        self._looks_dead = looks_dead
        delay = WATCHDOG_RECHECK_DELAY_S if looks_dead else min(WATCHDOG_INTERVAL_S, self.protocol.deadline - now)
        self._watchdog = self._loop.call_later(delay, self._run_watchdog)

    def _stop_watchdog(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None


def _close_code(closed: ConnectionClosed) -> int:
    return closed.rcvd.code if closed.rcvd else 1006


def is_loopback(url: str) -> bool:
    """Return whether the URL's host is this machine, which no proxy can reach."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _connect(route: Route, authorizer: Authorizer, timeouts: Timeouts) -> ClientConnection:
    stage = "the authorizer"
    try:
        async with asyncio.timeout(timeouts.connect):
            authorization = await authorizer.connect()
            stage = "the handshake"
            return await _Connect(
                route.url,
                subprotocols=subprotocols(authorization),
                # Compression would double the cost of a frame of a few hundred bytes.
                compression=None,
                # The protocol has its own keep-alive, `ka`. Pongs are not documented, and they would be late if this
                # process was suspended.
                ping_interval=None,
                open_timeout=None,
                close_timeout=timeouts.close,
                max_size=MAX_FRAME_BYTES,
                max_queue=MAX_QUEUED_FRAMES,
                logger=_MUTED_LOGGER,
                **route.options(),
            )
    except TimeoutError:
        raise ConnectionLostError(f"{stage} took longer than {timeouts.connect:g} s") from None
    except AuthorizerError as error:
        raise ConnectionLostError(str(error)) from None
    except InvalidStatus as error:
        status = error.response.status_code
        if status in REFUSAL_CODES:
            raise RefusedError((ErrorDetail(code=status),)) from None
        raise ConnectionLostError(f"the handshake failed with status {status}") from None
    except (OSError, WebSocketException) as error:
        # The text of an OSError names the address; that of the others may repeat a header.
        text = f": {error}" if isinstance(error, OSError) and stage == "the handshake" else ""
        raise ConnectionLostError(f"{stage} failed with {type(error).__name__}{text}") from None
    except Exception as error:  # noqa: BLE001 - an authorizer may raise anything, and its text may name its secret
        raise ConnectionLostError(f"{stage} failed with {error_name(error)}") from None

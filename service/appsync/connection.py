"""One WebSocket to AppSync Events: made, listened to, watched and closed once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from base64 import urlsafe_b64encode
from ipaddress import ip_address
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.protocol import State
from websockets.typing import Subprotocol

from .errors import REFUSALS, ConnectionLostError, ErrorDetail, RefusedError
from .protocol import ConnectionRefused, Counters, Event, Protocol

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from .auth import Authorizer
    from .timing import Timeouts

# An event of 240 KB, the largest, can grow sixfold as a JSON string, if every byte of it has to be escaped.
MAX_SIZE = 2 * 2**20
# Frames, not bytes. The receive loop awaits nothing but frames, so no more than one read's worth ever queues; with the
# default of 16, each read of many small frames would pause and resume the socket, two system calls.
MAX_QUEUE = 1024
# The watchdog looks this often, in seconds, so that it also sees a close that the peer began but does not finish ...
LOOK_EVERY = 1.0
# ... and condemns only at a second look: what the kernel kept while this process stood still is read in between.
SECOND_LOOK_AFTER = 0.25

# At DEBUG level websockets logs the handshake, which holds the credentials, and every frame. So it gets a logger that
# no configuration of the application reaches; what matters of a connection's life is told by exceptions.
_SILENT = logging.Logger("appsync.websocket", logging.CRITICAL)  # noqa: LOG001 - the registry is what it has to escape
_SILENT.addHandler(logging.NullHandler())


class _Connect(connect):
    """`websockets.connect` that follows no redirect: the credentials travel in the subprotocol and would go along."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


def subprotocols(authorization: Mapping[str, str]) -> list[Subprotocol]:
    """Return what the handshake offers: the protocol's name, and the authorisation in base64url without padding."""
    encoded = urlsafe_b64encode(orjson.dumps(authorization)).rstrip(b"=").decode()
    return [Subprotocol("aws-appsync-event-ws"), Subprotocol(f"header-{encoded}")]


class Connection:
    """A WebSocket that the service has acknowledged. Use `Connection.open`."""

    def __init__(self, websocket: ClientConnection, timeouts: Timeouts, counters: Counters) -> None:
        self._loop = asyncio.get_running_loop()
        self._websocket = websocket
        self._timeouts = timeouts
        self.protocol = Protocol(time.monotonic(), counters)
        self._end: str | None = None
        self._doubted = False
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    async def open(
        cls,
        url: str,
        authorizer: Authorizer,
        on_event: Callable[[Event], None],
        *,
        timeouts: Timeouts,
        ssl_context: ssl.SSLContext | None,
        counters: Counters,
    ) -> Connection:
        """Connect and wait for the acknowledgement.

        Raises RefusedError where trying again at once is pointless, ConnectionLostError for anything else.
        """
        websocket = await _dial(url, authorizer, timeouts, ssl_context)
        connection = cls(websocket, timeouts, counters)
        try:
            async with asyncio.timeout(timeouts.ack):
                # A service that refuses closes at once, maybe before this is sent: it has said why, so go on and read.
                with contextlib.suppress(ConnectionClosed):
                    await websocket.send(connection.protocol.initiate(), text=True)
                while not connection.protocol.acknowledged:
                    connection._take(await websocket.recv(decode=False), on_event)
        except BaseException as error:
            await connection._drop()
            if isinstance(error, TimeoutError):
                raise ConnectionLostError("no acknowledgement in time") from None
            if isinstance(error, ConnectionClosed):
                raise connection._loss(error) from None
            raise
        return connection

    async def receive(self, on_event: Callable[[Event], None]) -> NoReturn:
        """Hand over what comes, for as long as the connection lasts.

        Raises ConnectionLostError or RefusedError when it ends.
        """
        recv, receive, clock = self._websocket.recv, self.protocol.receive, time.monotonic
        self._watch()
        try:
            while True:
                # decode=False spares a str: the JSON parser checks the UTF-8 itself.
                event = receive(await recv(decode=False), clock())
                if event is not None:
                    if type(event) is ConnectionRefused:
                        raise self._refusal(event)
                    on_event(event)
        except ConnectionClosed as closed:
            raise self._loss(closed) from None
        finally:
            self._unwatch()

    async def send(self, frame: bytes) -> None:
        """Send one frame. A connection that has ended, or whose peer reads nothing, is left for `receive` to tell."""
        try:
            async with asyncio.timeout(self._timeouts.subscribe):
                await self._websocket.send(frame, text=True)
        except TimeoutError:
            self.abandon("the peer reads nothing")
        except ConnectionClosed:
            pass

    def abandon(self, reason: str) -> None:
        """End the connection at once, without a closing handshake: with a dead peer there is none."""
        self._end = self._end or reason
        self._websocket.transport.abort()

    async def close(self) -> None:
        """Close with the closing handshake, within its bound; afterwards the socket is closed in any case."""
        self._unwatch()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timeouts.close):
                    await self._websocket.close()
        finally:
            await self._drop()

    async def _drop(self) -> None:
        self._websocket.transport.abort()
        await self._websocket.wait_closed()

    def _take(self, frame: bytes, on_event: Callable[[Event], None]) -> None:
        event = self.protocol.receive(frame, time.monotonic())
        if isinstance(event, ConnectionRefused):
            raise self._refusal(event)
        if event is not None:
            on_event(event)

    def _refusal(self, event: ConnectionRefused) -> ConnectionLostError:
        refusal = RefusedError(event.details)
        if any(detail.is_refusal for detail in event.details):
            return refusal
        return ConnectionLostError(refusal.reason)  # such as a rate limit: the next try may do

    def _loss(self, closed: ConnectionClosed) -> ConnectionLostError:
        if self._end is not None:
            return ConnectionLostError(self._end)
        # The reason that a peer may add to its code is any text; the service gives none that would help.
        return ConnectionLostError("closed by the peer" if closed.rcvd else "connection lost", close_code=_code(closed))

    def _watch(self) -> None:
        now = time.monotonic()
        silent = now >= self.protocol.deadline
        doubtful = silent or self._websocket.state is not State.OPEN
        if doubtful and self._doubted:
            reason = f"nothing received for {self.protocol.timeout:g} s" if silent else "close not completed"
            self.abandon(reason)
            return
        self._doubted = doubtful
        delay = SECOND_LOOK_AFTER if doubtful else min(LOOK_EVERY, self.protocol.deadline - now)
        self._timer = self._loop.call_later(delay, self._watch)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _code(closed: ConnectionClosed) -> int:
    return closed.rcvd.code if closed.rcvd else 1006


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine itself, which no proxy can reach for us."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _dial(
    url: str, authorizer: Authorizer, timeouts: Timeouts, ssl_context: ssl.SSLContext | None
) -> ClientConnection:
    stage = "the authorizer"
    try:
        async with asyncio.timeout(timeouts.connect):
            authorization = await authorizer.connect()
            stage = "the handshake"
            return await _Connect(
                url,
                subprotocols=subprotocols(authorization),
                # Deflating and inflating a frame of some hundred bytes costs as much again as all else about it.
                compression=None,
                # The protocol has a keep-alive of its own, `ka`. Pongs are not documented, and they would be late
                # when it is this process that stood still.
                ping_interval=None,
                open_timeout=None,
                close_timeout=timeouts.close,
                max_size=MAX_SIZE,
                max_queue=MAX_QUEUE,
                # True: as the environment (HTTPS_PROXY and the like) tells.
                proxy=None if is_loopback(url) else True,
                logger=_SILENT,
                ssl=ssl_context,
            )
    except TimeoutError:
        raise ConnectionLostError(f"{stage} took longer than {timeouts.connect:g} s") from None
    except InvalidStatus as error:
        status = error.response.status_code
        if status in REFUSALS:
            raise RefusedError((ErrorDetail(code=status),)) from None
        raise ConnectionLostError(f"the handshake was answered {status}") from None
    except (OSError, WebSocketException) as error:
        # An OSError names the address; the text of the others may repeat a header.
        text = f": {error}" if isinstance(error, OSError) and stage == "the handshake" else ""
        raise ConnectionLostError(f"{stage} failed, {type(error).__name__}{text}") from None
    except Exception as error:  # noqa: BLE001 - an authorizer may raise anything, and its text may name its secret
        raise ConnectionLostError(f"{stage} failed, {type(error).__name__}") from None

"""The connections of one link, each with what is subscribed on it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NoReturn

from .connection import Connection
from .errors import ConnectionLostError
from .protocol import Counters
from .session import Session

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Collection

    from .auth import Authorizer
    from .events import LinkEvent
    from .subscription import Subscription
    from .timing import Backoff, Timeouts


def as_loss(error: BaseException) -> ConnectionLostError:
    """Return what a fault means for a connection: that there is none. Raises what cancels the present task itself.

    Only that may end a link: no fault of ours, and none of an authorizer, which may raise anything.
    """
    if isinstance(error, ConnectionLostError):
        return error
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error
    return ConnectionLostError(f"unexpected {type(error).__name__}")


class Line:
    """An acknowledged connection and its session, served by a task. Made by `Lines.open`."""

    def __init__(self, connection: Connection, session: Session) -> None:
        self._connection = connection
        self.session = session
        self.served: asyncio.Task[NoReturn] = asyncio.create_task(session.run(connection), name="appsync-line")
        """Ends with the connection, by ConnectionLostError or RefusedError."""

    @property
    def silence(self) -> float:
        """Seconds since anything came."""
        return self._connection.protocol.silence(time.monotonic())

    @property
    def silent(self) -> bool:
        """Whether nothing came for so long that it may be half open."""
        return self._connection.protocol.is_silent(time.monotonic())

    async def close(self) -> None:
        """End it, in a bounded time."""
        self.served.cancel()
        try:
            await asyncio.wait([self.served])
        finally:
            if self.served.done() and not self.served.cancelled():
                self.served.exception()  # else asyncio complains that nobody has looked at it
            await self._connection.close()


class Lines:
    """All lines of a link: one, or for a while two, when one takes over from the other; none while it is down."""

    def __init__(
        self,
        url: str,
        authorizer: Authorizer,
        wanted: Collection[Subscription],
        report: Callable[[LinkEvent], None],
        timeouts: Timeouts,
        backoff: Backoff,
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        self._url = url
        self._authorizer = authorizer
        self._wanted = wanted
        self._report = report
        self._timeouts = timeouts
        self._backoff = backoff
        self._ssl_context = ssl_context
        self._lines: list[Line] = []
        self.counters = Counters()

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def silence(self) -> float | None:
        """Seconds since anything came on any of them; None without one."""
        return min((line.silence for line in self._lines), default=None)

    async def open(self) -> Line:
        """Connect once more. Raises ConnectionLostError or RefusedError."""
        session = Session(self._wanted, self._authorizer, self._report, self._timeouts, self._backoff)
        connection = await Connection.open(
            self._url,
            self._authorizer,
            session.handle,
            timeouts=self._timeouts,
            ssl_context=self._ssl_context,
            counters=self.counters,
        )
        line = Line(connection, session)
        self._lines.append(line)
        return line

    async def close(self, *lines: Line) -> None:
        """Close these lines; without any, all that there are."""
        closing = lines or tuple(self._lines)
        for line in closing:
            self._lines.remove(line)
        await asyncio.gather(*(line.close() for line in closing))

    def wake(self) -> None:
        """Tell every session that what is wanted has changed."""
        for line in self._lines:
            line.session.wake()

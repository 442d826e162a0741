"""The open connections of one link, each with its subscriptions."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NoReturn

from .connection import Connection
from .errors import ConnectionLostError
from .protocol import Counters
from .session import Session
from .tasks import cancel_and_wait

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from .auth import Authorizer
    from .connection import Route
    from .events import LinkEvent
    from .subscription import Subscription
    from .timing import Backoff, Timeouts


def as_connection_lost(error: BaseException) -> ConnectionLostError:
    """Convert any error into the loss of a connection. Raises the cancellation of the current task.

    Only a cancellation may end a link. A bug in this client must not, and neither must an authorizer, which may raise
    anything.
    """
    if isinstance(error, ConnectionLostError):
        return error
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error
    return ConnectionLostError(f"unexpected {type(error).__name__}")


class ActiveConnection:
    """An acknowledged connection and its session, served by a task; made by `ActiveConnections.open`."""

    def __init__(self, connection: Connection, session: Session) -> None:
        self._connection = connection
        self.session = session
        self.task: asyncio.Task[NoReturn] = asyncio.create_task(session.run(connection), name="appsync-connection")
        """Ends with the connection, by ConnectionLostError or RefusedError."""

    @property
    def silence(self) -> float:
        """Seconds since the last frame."""
        return self._connection.protocol.silence(time.monotonic())

    @property
    def is_silent(self) -> bool:
        """Whether the last frame was so long ago that the connection may be half open."""
        return self._connection.protocol.is_silent(time.monotonic())

    async def close(self) -> None:
        """Close it; takes a bounded time."""
        try:
            await cancel_and_wait(self.task)
        finally:
            await self._connection.close()


class ActiveConnections:
    """All open connections of a link: usually one, two during a renewal, none while the link is down."""

    def __init__(
        self,
        authorizer: Authorizer,
        subscriptions: Collection[Subscription],
        report: Callable[[LinkEvent], None],
        timeouts: Timeouts,
        backoff: Backoff,
        route: Route,
    ) -> None:
        self._authorizer = authorizer
        self._subscriptions = subscriptions
        self._report = report
        self._timeouts = timeouts
        self._backoff = backoff
        self._route = route
        self._connections: list[ActiveConnection] = []
        self.counters = Counters()

    def __len__(self) -> int:
        return len(self._connections)

    @property
    def silence(self) -> float | None:
        """Seconds since the last frame on any of them; None without a connection."""
        return min((connection.silence for connection in self._connections), default=None)

    async def open(self) -> ActiveConnection:
        """Open another connection. Raises ConnectionLostError or RefusedError."""
        session = Session(self._subscriptions, self._authorizer, self._report, self._timeouts, self._backoff)
        connection = await Connection.open(
            self._route,
            self._authorizer,
            session.handle,
            timeouts=self._timeouts,
            counters=self.counters,
        )
        active = ActiveConnection(connection, session)
        self._connections.append(active)
        return active

    async def close(self, *connections: ActiveConnection) -> None:
        """Close these connections; all of them if none is given."""
        closing = connections or tuple(self._connections)
        for connection in closing:
            self._connections.remove(connection)
        await asyncio.gather(*(connection.close() for connection in closing))

    def wake(self) -> None:
        """Notify every session that subscriptions were added or ended."""
        for connection in self._connections:
            connection.session.wake()

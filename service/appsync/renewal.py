"""Renewal of connections that are too old or seem to be half open: make before break."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from .active_connections import as_connection_lost
from .deduplication import MAX_COPY_SKEW_S, Deduplicator
from .errors import ConnectionLostError, RefusedError
from .events import LinkEvent, LinkEventKind
from .tasks import cancel_and_wait

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from .active_connections import ActiveConnection, ActiveConnections
    from .auth import CredentialRefresher
    from .timing import Renewal

T = TypeVar("T")

SILENCE_CHECK_INTERVAL_S = 5.0
"""Seconds between two checks for silence. Two in a row have to find it: frames that the kernel buffered while this
process was suspended are read in between."""


class Renewer:
    """Replaces one connection after another."""

    def __init__(
        self,
        connections: ActiveConnections,
        refresher: CredentialRefresher,
        renewal: Renewal,
        report: Callable[[LinkEvent], None],
    ) -> None:
        self._connections = connections
        self._refresher = refresher
        self._renewal = renewal
        self._report = report

    async def replace_when_due(self, old: ActiveConnection) -> ActiveConnection:
        """Wait until `old` is due, replace it, and return the new connection.

        After a failed attempt, `old` stays in use and another attempt follows. Raises what ended
        `old` if it ends first.
        """
        await self._until_due(old)
        attempt = 0
        while True:
            attempt += 1
            if old.task.done():
                await old.task
            try:
                return await self._replace(old)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - no error here affects `old`
                loss = as_connection_lost(error)
            if old.task.done():
                await old.task
            delay = self._renewal.backoff.delay(attempt)
            self._report(
                LinkEvent(
                    kind=LinkEventKind.RENEWAL_FAILED,
                    reason=loss.reason,
                    close_code=loss.close_code,
                    attempt=attempt,
                    delay=delay,
                )
            )
            if isinstance(loss, RefusedError):
                await self._refresher.refresh()
            await asyncio.wait([old.task], timeout=delay)

    async def _until_due(self, old: ActiveConnection) -> None:
        """Wait until the connection is old enough, is silent, or ends.

        A silent connection may be half open. The protocol considers it dead only after minutes, but a second
        connection beside it costs nothing.
        """
        clock = asyncio.get_running_loop().time
        end = clock() + self._renewal.due()
        silent_checks = 0
        while silent_checks < 2 and clock() < end and not old.task.done():
            await asyncio.wait([old.task], timeout=min(SILENCE_CHECK_INTERVAL_S, end - clock()))
            silent_checks = silent_checks + 1 if old.is_silent else 0

    async def _replace(self, old: ActiveConnection) -> ActiveConnection:
        new = await _unless_ended(old, self._connections.open())
        deduplicator = Deduplicator()
        old.session.owners.is_copy, new.session.owners.is_copy = (
            deduplicator.is_copy_on_old,
            deduplicator.is_copy_on_new,
        )
        try:
            await _unless_ended(old, _unless_ended(new, self._subscribed(new)))
            # Both stay open for a while: events published just after a confirmation may arrive only on the old one.
            await asyncio.wait([old.task, new.task], timeout=self._renewal.overlap, return_when="FIRST_COMPLETED")
            if new.task.done():
                await new.task
        except BaseException:
            old.session.owners.is_copy = None
            await self._connections.close(new)
            raise
        was_silent = old.is_silent
        await self._connections.close(old)
        self._report(LinkEvent(kind=LinkEventKind.RENEWED, reason="silence" if was_silent else "age"))
        if was_silent:
            new.session.report_gap()
        await asyncio.wait([new.task], timeout=MAX_COPY_SKEW_S)  # copies from the old one may still arrive
        new.session.owners.is_copy = None
        return new

    async def _subscribed(self, new: ActiveConnection) -> None:
        try:
            async with asyncio.timeout(self._renewal.takeover):
                await new.session.wait_caught_up()
        except TimeoutError:
            raise ConnectionLostError("not everything was subscribed in time") from None


async def _unless_ended(connection: ActiveConnection, work: Coroutine[None, None, T]) -> T:
    """Do the work; if the connection ends first, raise what ended it."""
    task = asyncio.create_task(work, name="appsync-renewal")
    try:
        await asyncio.wait([connection.task, task], return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else await connection.task
    finally:
        await cancel_and_wait(task)

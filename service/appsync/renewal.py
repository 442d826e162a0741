"""Replacing a connection before the service ends it, or when it seems to be half open: make before break."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from .errors import ConnectionLostError, RefusedError
from .events import LinkEvent, LinkEventKind
from .line import as_loss
from .overlap import SKEW, Overlap

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from .auth import Refresher
    from .line import Line, Lines
    from .timing import Renewal

T = TypeVar("T")


LOOK_EVERY = 5.0
"""Seconds between two looks at a line. Two in a row have to find it silent: what the kernel kept while this process
stood still is read in between."""


class Renewer:
    """Has one line after another take over."""

    def __init__(
        self, lines: Lines, refresher: Refresher, renewal: Renewal, report: Callable[[LinkEvent], None]
    ) -> None:
        self._lines = lines
        self._refresher = refresher
        self._renewal = renewal
        self._report = report

    async def outlive(self, old: Line) -> Line:
        """Serve on `old` until another line has taken over, and return that one.

        As long as that fails, `old` goes on, and it is tried again. Raises what ended `old`, if that was before.
        """
        await self._until_due(old)
        attempt = 0
        while True:
            attempt += 1
            if old.served.done():
                await old.served
            try:
                return await self._replace(old)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - `old` is well, whatever this is
                loss = as_loss(error)
            if old.served.done():
                await old.served
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
            await asyncio.wait([old.served], timeout=delay)

    async def _until_due(self, old: Line) -> None:
        """Wait for the end of the line's time, or of the line. A silent one is due at once: it may be half open.

        To condemn it, the service allows only after minutes; to have another one beside it costs nothing.
        """
        clock = asyncio.get_running_loop().time
        end = clock() + self._renewal.due()
        doubts = 0
        while doubts < 2 and clock() < end and not old.served.done():
            await asyncio.wait([old.served], timeout=min(LOOK_EVERY, end - clock()))
            doubts = doubts + 1 if old.silent else 0

    async def _replace(self, old: Line) -> Line:
        new = await _unless_ended(old, self._lines.open())
        overlap = Overlap()
        old.session.is_copy, new.session.is_copy = overlap.on_old, overlap.on_new
        try:
            await _unless_ended(old, _unless_ended(new, self._subscribed(new)))
            # Both stay for a while: what is published just after a confirmation may come on the old one alone.
            await asyncio.wait([old.served, new.served], timeout=self._renewal.overlap, return_when="FIRST_COMPLETED")
            if new.served.done():
                await new.served
        except BaseException:
            old.session.is_copy = None
            await self._lines.close(new)
            raise
        was_silent = old.silent
        await self._lines.close(old)
        self._report(LinkEvent(kind=LinkEventKind.RENEWED, reason="nothing came any more" if was_silent else "in time"))
        if was_silent:
            new.session.tell_gap()
        await asyncio.wait([new.served], timeout=SKEW)  # until no copy of what came on the old one can come any more
        new.session.is_copy = None
        return new

    async def _subscribed(self, new: Line) -> None:
        try:
            async with asyncio.timeout(self._renewal.takeover):
                await new.session.caught_up()
        except TimeoutError:
            raise ConnectionLostError("not everything was subscribed in time") from None


async def _unless_ended(line: Line, work: Coroutine[None, None, T]) -> T:
    """Do the work, unless the line ends before that: then raise what ended it."""
    task = asyncio.create_task(work, name="appsync-renewal")
    try:
        await asyncio.wait([line.served, task], return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else await line.served
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # else asyncio complains that nobody has looked at it

"""Listings of running executions: one page shows of a thousand executions that they have not ended.

Only running ones are listed: their number grows neither with the time for which callers wait, nor with how many others
have ended since. What is not among them has ended, or was started just now: listings are eventually consistent. They
come newest first ("ListExecutions", AWS Step Functions API Reference), so a page that goes back beyond the start of an
execution shows that too, many pages before the last one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import structlog

from service.errors import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from service.stepfunctions.reader import RecordReader

log = structlog.get_logger(__name__)

MAX_LIST_PAGES: Final = 100
"""Pages per listing, half of the bucket of ListExecutions. Beyond them, executions are read one by one."""

START_TOLERANCE_S: Final = 1.0
"""Seconds by which the dates of two starts may contradict the order of a listing."""


class Listings:
    """Lists the executions of each state machine, by its record, one listing at a time."""

    def __init__(self) -> None:
        self._under_way: set[RecordReader] = set()
        self._failed: set[RecordReader] = set()

    def begin(self, record: RecordReader) -> bool:
        """Reserve the next listing, which the caller then has to make; return False if one is under way."""
        if record in self._under_way:
            return False
        self._under_way.add(record)
        return True

    def under_way(self, record: RecordReader) -> bool:
        """Return whether a listing is under way."""
        return record in self._under_way

    def failed(self, record: RecordReader) -> bool:
        """Return whether the last listing failed."""
        return record in self._failed

    async def pages(
        self,
        record: RecordReader,
        started_at: dict[str, float],
        joining: Callable[[], Iterable[tuple[str, float]]],
        *token_timeout: float,
    ) -> AsyncGenerator[tuple[set[str], set[str]], None]:
        """Make a listing that `begin` reserved, and yield after each page which executions run and which do not.

        `started_at` says of each when it was started, by AWS's clock; minus infinity if that is not known. Those that
        were yielded are removed from it; what is left at the end could not be determined. Those `joining` are compared
        with the pages that are still to come, if they belong there. `token_timeout` is how many seconds to wait for the
        quota.
        """
        try:
            token: str | None = None
            oldest = math.inf
            for _ in range(MAX_LIST_PAGES):
                # Before the call: its response need not show what is started while it is under way.
                passed = oldest - START_TOLERANCE_S
                started_at.update((key, start) for key, start in joining() if -math.inf < start < passed)
                page = await record.running(token, *token_timeout)
                token = page.next_token
                oldest = min(oldest, page.oldest_start)
                running = started_at.keys() & page.names
                reached = oldest + START_TOLERANCE_S
                ended = {key for key, start in started_at.items() if token is None or start > reached} - running
                for key in running | ended:
                    del started_at[key]
                yield running, ended
                if token is None or not started_at:
                    break
        except Problem as problem:
            if record not in self._failed:
                left = len(started_at)
                log.warning("list_executions_failed", problem=problem.slug, missing=left, **problem.log_fields)
            self._failed.add(record)
        else:
            self._failed.discard(record)
        finally:
            self._under_way.discard(record)

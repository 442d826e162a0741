"""Listings of running executions: one page shows of a thousand executions that they have not ended.

Only running ones are listed: their number grows neither with the time for which callers wait, nor with how many others
have ended since. What is not among them has ended, or was started just now: listings are eventually consistent
("ListExecutions", AWS Step Functions API Reference).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from service.errors import Problem

if TYPE_CHECKING:
    from service.stepfunctions.reader import RecordReader

log = structlog.get_logger(__name__)

MAX_LIST_PAGES: Final = 100
"""Pages per listing, half of the bucket of ListExecutions. Beyond them, executions are read one by one."""


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

    async def remove_running(self, record: RecordReader, ids: set[str], *token_timeout: float) -> bool:
        """Make a listing that `begin` reserved, and remove from `ids` what is running.

        Return whether the listing was complete. `token_timeout` is how many seconds to wait for the quota.
        """
        try:
            complete = await self._remove_running(record, ids, *token_timeout)
        except Problem as problem:
            if record not in self._failed:
                log.warning("list_executions_failed", problem=problem.slug, missing=len(ids), **problem.log_fields)
            self._failed.add(record)
            return False
        finally:
            self._under_way.discard(record)
        self._failed.discard(record)
        return complete

    @staticmethod
    async def _remove_running(record: RecordReader, ids: set[str], *token_timeout: float) -> bool:
        token: str | None = None
        for _ in range(MAX_LIST_PAGES):
            page = await record.running(token, *token_timeout)
            ids.difference_update(page.names)
            token = page.next_token
            if not ids or token is None:
                return True
        return False

"""Recovery of replies that the link did not deliver: when to look up which executions.

AppSync Events delivers at most once and replays nothing. An outcome that was published while no subscription was live
is looked up in Step Functions' record: after a gap, shortly before a deadline, and if an event says that an execution
has ended but not how. For long waits, sweeps find what ended although no event and no gap said so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final, Self

from service.bridge.background import BackgroundTasks
from service.bridge.lookup_queue import LookupQueue

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Iterator
    from types import TracebackType

    from service.bridge.pending import PendingReplies
    from service.stepfunctions.read_budgets import ReadBudgets

POLL_INTERVAL_S: Final = 2.0
"""Seconds between two lookups of executions whose replies cannot be received."""

FIRST_POLL_AFTER_S: Final = 0.5
"""Seconds from the loss of the link to the first lookup; a normal reconnect is faster."""

LOOKUPS_AFTER_GAP_S: Final = (0.0, 1.0, 3.0)
"""Seconds after a gap at which lookups are made. One is not enough, as listings are eventually consistent
("ListExecutions", AWS Step Functions API Reference)."""

SWEEP_INTERVAL_S: Final = 10.0
"""Seconds between two sweeps of long waits. With SETTLE_S and the time of a listing and a read, an end that was not
reported is found within 30 seconds."""

MIN_SWEPT_WAIT_S: Final = 30.0
"""Seconds; in a shorter wait, the lookup before its deadline finds an end within that time."""


class Recovery:
    """Schedules lookups of pending executions; those of an EXPRESS state machine leave no record, and are left out."""

    def __init__(self, replies: PendingReplies, budgets: ReadBudgets) -> None:
        self._closed = False
        self._replies = replies
        self._tasks = BackgroundTasks()
        self._polled: Counter[str] = Counter()
        self._lookups = LookupQueue(replies, budgets, self._tasks)
        self._gap_task: asyncio.Task[None] | None = None
        self._poll_task: asyncio.Task[None] | None = None

    @property
    def recovered(self) -> int:
        """How many executions were resolved from the record."""
        return self._lookups.recovered

    async def __aenter__(self) -> Self:
        self._tasks.spawn(self._lookups.run())
        self._tasks.spawn(self._sweep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        self._tasks.cancel()
        await self._tasks.aclose()

    def lookup(self, execution_ids: Collection[str]) -> None:
        """Look up executions that may have ended."""
        self._lookups.request(execution_ids)

    def lookup_before_deadline(self, execution_id: str) -> None:
        """Look up an execution whose wait is about to end: a reply can be lost without a visible gap."""
        self.lookup([execution_id])

    def lookup_ended(self, execution_id: str) -> None:
        """Read an execution that has ended until its record shows the outcome."""
        self._lookups.request_ended(execution_id)

    def lookup_reported(self, execution_id: str) -> None:
        """Read an execution a few times, as an event says that it has ended: perhaps that is an earlier run."""
        self._lookups.request_presumed(execution_id)

    def lookup_missed(self, execution_ids: Collection[str]) -> None:
        """Look up executions whose reply may have just been missed: their record may show the end later."""
        if not self._closed:
            self._tasks.spawn(self._lookup_after_gap(execution_ids))

    @contextlib.contextmanager
    def polling(self, execution_id: str) -> Iterator[None]:
        """Poll this execution inside the block: we have no subscription for it."""
        self._polled[execution_id] += 1
        self.lookup([execution_id])
        if not self._closed and (self._poll_task is None or self._poll_task.done()):
            self._poll_task = self._tasks.spawn(self._poll())
        try:
            yield
        finally:
            self._polled[execution_id] -= 1
            if not self._polled[execution_id]:
                del self._polled[execution_id]

    def link_lost(self) -> None:
        """Poll all pending executions from now on: none of their replies can be received."""
        self._lookups.link_down = True
        self._replace_gap_task(self._poll_while_down())

    def link_restored(self) -> None:
        """Look up all executions pending now: what was published in the gap is lost."""
        self._lookups.link_down = False
        self._replace_gap_task(self._lookup_after_gap(self._replies.pending()))

    def _replace_gap_task(self, work: Coroutine[None, None, None]) -> None:
        if self._gap_task is not None:
            self._gap_task.cancel()
            self._gap_task = None
        if self._closed:
            work.close()
        else:
            self._gap_task = self._tasks.spawn(work)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            self._lookups.sweep(partial(self._replies.pending, MIN_SWEPT_WAIT_S))

    async def _poll(self) -> None:
        while self._polled:
            await asyncio.sleep(POLL_INTERVAL_S)
            self.lookup(self._polled)

    async def _poll_while_down(self) -> None:
        await asyncio.sleep(FIRST_POLL_AFTER_S)
        while True:
            self.lookup(self._replies.pending())
            await asyncio.sleep(POLL_INTERVAL_S)

    async def _lookup_after_gap(self, execution_ids: Collection[str]) -> None:
        passed = 0.0
        for after in LOOKUPS_AFTER_GAP_S:
            await asyncio.sleep(after - passed)
            passed = after
            self.lookup(execution_ids)

"""The queue of lookups: outcomes read from Step Functions' record, within its quotas, nearest deadline first.

Nothing is read by a poller per waiter: listings show of thousands of executions that they are running, and only the
others are read. While listings fail, executions are read one by one, each in its turn; and while the link is down as
well, only with half of the quotas, as its return will need the other half.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import math
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog

from service.bridge.listings import Listings
from service.bridge.lookup import Lookup
from service.errors import Problem, UnknownExecution

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from service.bridge.background import BackgroundTasks
    from service.bridge.pending import PendingReplies
    from service.stepfunctions.budget import Budget
    from service.stepfunctions.read_budgets import ReadBudgets
    from service.stepfunctions.reader import RecordReader

Arrived: TypeAlias = "Callable[[float], Collection[str]]"
"""Returns the executions for which requests have begun to wait since a time, by the event loop's clock."""

log = structlog.get_logger(__name__)

MAX_SINGLE_READS: Final = 8
"""Up to this many executions are read one by one; for more, a listing is cheaper."""

MAX_CONCURRENT_READS: Final = 32
"""Reads under way at once, so that they do not hold up starts."""

SETTLE_S: Final = 5.0
"""Seconds that an execution found by a sweep has for its reply to arrive, before it is read."""

SWEEP_TOKEN_TIMEOUT_S: Final = 10.0
"""Seconds that a page of a sweep may wait for its token: it is not urgent."""

LISTING_LAG_S: Final = 1.0
"""Seconds for which a new execution may be missing in a listing. It is read only after that."""

LAST_LOOKUP_WINDOW_S: Final = 2.0
"""Seconds before a deadline in which an execution is read by itself if no listing shows it."""

MIN_READ_INTERVAL_S: Final = 0.1
"""The shortest pause in seconds before a read is repeated."""

RETRY_FAILED_READ_AFTER_S: Final = 2.0
"""Seconds before a read that failed is repeated."""

RECORD_LAG_PAUSES_S: Final = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Pauses in seconds before reading again an execution that has ended although its record does not show it yet: a
workflow publishes its reply before it ends. The last pause repeats."""


MAX_PRESUMED_REPEATS: Final = len(RECORD_LAG_PAUSES_S)
"""Repeated reads of an execution that only a listing showed to have ended: the listing may have been wrong."""


class LookupQueue:
    """Looks up executions and resolves their waiters; `recovered` counts the executions that it resolved.

    Reads and listings run in `tasks`, within the budgets of the account, each for the record of the waiters' own state
    machine.
    """

    def __init__(self, replies: PendingReplies, budgets: ReadBudgets, tasks: BackgroundTasks) -> None:
        self.recovered = 0
        self.link_down = False
        """Whether no reply can be received at the moment."""
        self._replies = replies
        self._budgets = budgets
        self._tasks = tasks
        self._wake = asyncio.Event()
        self._requested: dict[RecordReader, set[str]] = {}  # may have ended
        self._lookups: dict[str, Lookup] = {}
        # A heap: to be read next, by deadline. Those that are not urgent come later, each once before any comes again.
        self._ready: list[tuple[int, float, str]] = []
        self._later: list[tuple[float, str]] = []  # a heap: to be read again, by time
        self._reading = 0
        self._listings = Listings()
        self._round = 0

    def __len__(self) -> int:
        return len(self._lookups)

    def request(self, execution_ids: Collection[str]) -> None:
        """Look up executions that may have ended."""
        for record, ids in self._by_record(execution_ids).items():
            self._requested.setdefault(record, set()).update(ids)
        self._wake.set()

    def request_ended(self, execution_id: str) -> None:
        """Read an execution that has ended until its record shows the outcome."""
        if self._by_record([execution_id]):
            self._enqueue(execution_id, ended=True)

    def request_presumed(self, execution_id: str) -> None:
        """Read an execution that may have ended, and a few more times if its record does not show that."""
        if self._by_record([execution_id]):
            self._enqueue(execution_id, presumed=True)

    def sweep(self, arrived: Arrived) -> None:
        """List what runs, and read those that have `arrived` and do not run, unless their replies still arrive."""
        for record, ids in self._by_record(arrived(-math.inf)).items():
            if self._listings.begin(record):
                self._tasks.spawn(self._list(record, ids, arrived))

    def _by_record(self, execution_ids: Collection[str]) -> dict[RecordReader, set[str]]:
        """Group executions by the record of their state machine, without those that leave none."""
        groups: dict[RecordReader, set[str]] = {}
        for execution_id in execution_ids:
            record = self._replies.record(execution_id)
            if record is not None and record.kept:
                groups.setdefault(record, set()).add(execution_id)
        return groups

    async def run(self) -> None:
        """Process the queue until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            self._wake.clear()
            pause = self._dispatch(clock())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    def _dispatch(self, now: float) -> float | None:
        """Begin all that can be done now; return in how many seconds there may be more to do."""
        for record, ids in list(self._requested.items()):
            # A few do not wait for a listing under way: their deadlines may be near. Nor do many if it may fail.
            listing = self._listings.under_way(record) and not self._listings.failed(record)
            if not listing or len(ids) <= MAX_SINGLE_READS:
                self._begin_lookups(record, self._requested.pop(record))
        while self._later and self._later[0][0] <= now:
            due, execution_id = heapq.heappop(self._later)
            lookup = self._lookups.get(execution_id)
            if lookup is not None and lookup.due == due:  # otherwise it was moved forward
                self._enqueue(execution_id)
        while self._ready and self._reading < MAX_CONCURRENT_READS:
            *_, execution_id = self._ready[0]
            lookup = self._lookups.get(execution_id)
            reader = self._replies.record(execution_id)
            if lookup is None or not lookup.queued:
                heapq.heappop(self._ready)  # a listing has shown that it is running
            elif reader is None or self._replies.deadline(execution_id) is None:
                heapq.heappop(self._ready)
                del self._lookups[execution_id]  # its last waiter has left
            elif (claimed := self._budgets.claim(**(limits := self._limits(execution_id, lookup)))) is None:
                return self._budgets.seconds_to_wait(**limits)
            else:
                heapq.heappop(self._ready)
                lookup.queued, lookup.unlisted, lookup.reading = False, False, True
                self._reading += 1
                self._tasks.spawn(self._read(execution_id, reader, lookup, claimed))
        return max(0.0, self._later[0][0] - now) if self._later else None

    def _limits(self, execution_id: str, lookup: Lookup) -> dict[str, bool]:
        spare = not lookup.urgent and (self.link_down or lookup.swept)
        return {"spare": spare, "redriven": self._replies.expects_redrive(execution_id)}

    def _begin_lookups(self, record: RecordReader, ids: set[str]) -> None:
        missing = {key for key in ids if key in self._replies and not self._move_forward(key)}
        self._round += 1
        many = len(missing) > MAX_SINGLE_READS
        failed = self._listings.failed(record)
        if many and self._listings.begin(record):
            self._tasks.spawn(self._list(record, set(missing)))
        if not many or failed:
            for execution_id in missing:
                self._enqueue(execution_id, unlisted=many)

    def _move_forward(self, execution_id: str) -> bool:
        """If a read of the execution is certain, do it as soon as possible; return whether it is."""
        lookup = self._lookups.get(execution_id)
        if lookup is None or lookup.unlisted:
            return False
        self._enqueue(execution_id)
        return True

    def _enqueue(
        self, execution_id: str, *, ended: bool = False, presumed: bool = False, unlisted: bool = False
    ) -> None:
        lookup = self._lookups.setdefault(execution_id, Lookup())
        lookup.presumed = lookup.presumed or presumed
        lookup.ended, lookup.unlisted, lookup.requested_again = lookup.ended or ended, unlisted, lookup.reading
        lookup.due = 0.0
        deadline = self._replies.deadline(execution_id) or 0.0
        urgent = not unlisted or deadline < asyncio.get_running_loop().time() + LAST_LOOKUP_WINDOW_S
        if not lookup.reading and (not lookup.queued or (urgent and not lookup.urgent)):
            lookup.queued, lookup.urgent = True, urgent
            heapq.heappush(self._ready, (0 if urgent else self._round, deadline, execution_id))
            self._wake.set()

    async def _read(self, execution_id: str, record: RecordReader, lookup: Lookup, claimed: Budget) -> None:
        pause: float | None = None
        try:
            end = await record.end(execution_id, claimed)
        except UnknownExecution:
            end = None  # it is still being started, or the record lags behind
        except Problem as problem:
            log.debug("lookup_delayed", execution_id=execution_id, problem=problem.slug, **problem.log_fields)
            end, pause = None, RETRY_FAILED_READ_AFTER_S
        except Exception:  # a bug that shows in one read must not end the others
            log.exception("lookup_failed", execution_id=execution_id)
            end, pause = None, RETRY_FAILED_READ_AFTER_S
        finally:
            lookup.reading = False
            self._reading -= 1
            self._wake.set()
        if end is not None:
            self.recovered += self._replies.resolve(execution_id, end.outcome, end.redrives)
        presumed = lookup.presumed and lookup.repeats < MAX_PRESUMED_REPEATS
        # Somebody still waits if it is running, or if the record shows the end of an earlier run only.
        waiting = end is None or self._replies.deadline(execution_id) is not None
        if waiting and (lookup.ended or lookup.requested_again or presumed):
            pause = pause or RECORD_LAG_PAUSES_S[min(lookup.repeats, len(RECORD_LAG_PAUSES_S) - 1)]
        if pause is None:
            del self._lookups[execution_id]
            return
        lookup.repeats += 1
        lookup.requested_again = False
        now = asyncio.get_running_loop().time()
        # Repeat a failed read before the deadline, as no other lookup comes in that time.
        remaining = (self._replies.deadline(execution_id) or now) - now
        self._schedule(execution_id, lookup, now + min(pause, max(remaining / 2, MIN_READ_INTERVAL_S)))

    def _schedule(self, execution_id: str, lookup: Lookup, due: float) -> None:
        lookup.due = due
        heapq.heappush(self._later, (due, execution_id))
        self._wake.set()

    async def _list(self, record: RecordReader, ids: set[str], arrived: Arrived | None = None) -> None:
        """List what runs, and look up the rest of `ids`; in a sweep, also those that have `arrived` since it began."""
        failed_before, swept = self._listings.failed(record), arrived is not None
        began = asyncio.get_running_loop().time()

        def joining() -> Iterator[tuple[str, float]]:
            ids = arrived(began) if arrived else ()
            return ((key, self._replies.started_at(key)) for key in ids if self._replies.record(key) is record)

        timeout = (SWEEP_TOKEN_TIMEOUT_S,) if swept else ()
        left = {key: self._replies.started_at(key) for key in ids}
        async with contextlib.aclosing(self._listings.pages(record, left, joining, *timeout)) as pages:
            async for running, ended in pages:
                self._cancel_reads(running)
                self._presume_ended(ended, SETTLE_S if swept else 0.0)
        if failed_before and not swept:
            return  # they did not wait for this listing
        for execution_id in left:  # it failed, or was too long
            if not self._move_forward(execution_id):
                self._enqueue(execution_id, unlisted=True)
                self._lookups[execution_id].swept = swept

    def _cancel_reads(self, running: Iterable[str]) -> None:
        """Do not read what a listing shows to be running, unless more than a listing says that it has ended."""
        for execution_id in running:
            lookup = self._lookups.get(execution_id)
            if lookup is not None and (lookup.unlisted or (lookup.presumed and not (lookup.reading or lookup.ended))):
                del self._lookups[execution_id]
        self._wake.set()

    def _presume_ended(self, ids: Iterable[str], settle: float) -> None:
        """Read what a listing does not show, once its reply has had `settle` more seconds to arrive."""
        now = asyncio.get_running_loop().time()
        for execution_id in ids:
            if self._move_forward(execution_id):
                continue
            due = max(now + settle, self._replies.since(execution_id) + LISTING_LAG_S)
            if due > now:
                lookup = self._lookups.setdefault(execution_id, Lookup())
                lookup.presumed, lookup.unlisted = True, False
                self._schedule(execution_id, lookup, due)
            else:
                self._enqueue(execution_id, presumed=True)

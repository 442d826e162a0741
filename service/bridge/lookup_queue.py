"""The queue of lookups: outcomes read from Step Functions' record, within its quotas, nearest deadline first.

Nothing is read by a poller per waiter: one page of ListExecutions shows for a thousand executions whether they have
ended, and only those that have are read. While listings fail, executions are read one by one, each in its turn; and
while the link is down as well, only with half of the quotas, as its return will need the other half.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from service.errors import Problem, UnknownExecution

if TYPE_CHECKING:
    from collections.abc import Collection, Container

    from service.bridge.background import BackgroundTasks
    from service.bridge.pending import PendingReplies
    from service.stepfunctions.budget import Budget
    from service.stepfunctions.reader import RecordReader

log = structlog.get_logger(__name__)

MAX_SINGLE_READS: Final = 8
"""Up to this many executions are read one by one; for more, a listing is cheaper."""

MAX_CONCURRENT_READS: Final = 32
"""Reads under way at once, so that they do not hold up starts."""

MAX_LIST_PAGES: Final = 20
"""Pages per listing. In an account that needs more, the lookups before the deadlines find what the listing misses."""

LAST_LOOKUP_WINDOW_S: Final = 2.0
"""Seconds before a deadline in which an execution is read by itself if no listing shows it."""

MIN_READ_INTERVAL_S: Final = 0.1
"""The shortest pause in seconds before a read is repeated."""

RETRY_FAILED_READ_AFTER_S: Final = 2.0
"""Seconds before a read that failed is repeated."""

RECORD_LAG_PAUSES_S: Final = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Pauses in seconds before reading again an execution that has ended although its record does not show it yet: a
workflow publishes its reply before it ends. The last pause repeats."""


@dataclass(slots=True)
class _Lookup:
    """One execution to read."""

    ended: bool = False
    """Whether it is known to have ended: it is then read until the record shows that."""

    queued: bool = False
    """Whether it is queued for its first, or next, read."""

    unlisted: bool = False
    """Whether it is queued only because no listing showed it; a later listing can make the read unnecessary."""

    urgent: bool = False
    """Whether it is queued by its deadline, before those that are not."""

    reading: bool = False
    """Whether it is being read."""

    requested_again: bool = False
    """Whether it was requested again during that read."""

    due: float = 0.0
    """When it is to be read again, by the event loop's clock; 0 if no time is set."""

    repeats: int = 0
    """How many reads were repeated."""


class LookupQueue:
    """Looks up executions and resolves their waiters; `recovered` counts the executions that it resolved.

    Reads and listings run in `tasks`. Executions that are `polled` are read even if no listing shows them.
    """

    def __init__(
        self, replies: PendingReplies, record: RecordReader, tasks: BackgroundTasks, polled: Container[str]
    ) -> None:
        self.recovered = 0
        self.link_down = False
        """Whether no reply can be received at the moment."""
        self._replies = replies
        self._record = record
        self._tasks = tasks
        self._polled = polled
        self._wake = asyncio.Event()
        self._requested: set[str] = set()  # may have ended
        self._lookups: dict[str, _Lookup] = {}
        # A heap: to be read next, by deadline. Those that are not urgent come later, each once before any comes again.
        self._ready: list[tuple[int, float, str]] = []
        self._later: list[tuple[float, str]] = []  # a heap: to be read again, by time
        self._reading = 0
        self._listing = False
        self._listing_failed = False  # the last time
        self._round = 0

    def __len__(self) -> int:
        return len(self._lookups)

    def request(self, execution_ids: Collection[str]) -> None:
        """Look up executions that may have ended."""
        self._requested.update(execution_ids)
        self._wake.set()

    def request_ended(self, execution_id: str) -> None:
        """Read an execution that has ended until its record shows the outcome."""
        self._enqueue(execution_id, ended=True)

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
        # A few requests do not wait for a listing under way: their deadlines may be near. Nor do many if it may fail.
        if self._requested and (not self._listing or self._listing_failed or len(self._requested) <= MAX_SINGLE_READS):
            self._begin_lookups()
        while self._later and self._later[0][0] <= now:
            due, execution_id = heapq.heappop(self._later)
            lookup = self._lookups.get(execution_id)
            if lookup is not None and lookup.due == due:  # otherwise it was moved forward
                self._enqueue(execution_id)
        while self._ready and self._reading < MAX_CONCURRENT_READS:
            *_, execution_id = self._ready[0]
            lookup = self._lookups.get(execution_id)
            if lookup is None or not lookup.queued:
                heapq.heappop(self._ready)  # a listing has shown that it is running
            elif self._replies.deadline(execution_id) is None:
                heapq.heappop(self._ready)
                del self._lookups[execution_id]  # its last waiter has left
            elif (claimed := self._record.claim(spare=(spare := self.link_down and not lookup.urgent))) is None:
                return self._record.seconds_to_wait(spare=spare)
            else:
                heapq.heappop(self._ready)
                lookup.queued, lookup.unlisted, lookup.reading = False, False, True
                self._reading += 1
                self._tasks.spawn(self._read(execution_id, lookup, claimed))
        return max(0.0, self._later[0][0] - now) if self._later else None

    def _begin_lookups(self) -> None:
        missing = {key for key in self._requested if key in self._replies and not self._move_forward(key)}
        self._requested.clear()
        self._round += 1
        many = len(missing) > MAX_SINGLE_READS
        if many and not self._listing:
            self._listing = True
            self._tasks.spawn(self._list(set(missing)))
        if not many or self._listing_failed:
            for execution_id in missing:
                self._enqueue(execution_id, unlisted=many)

    def _move_forward(self, execution_id: str) -> bool:
        """If a read of the execution is certain, do it as soon as possible; return whether it is."""
        lookup = self._lookups.get(execution_id)
        if lookup is None or lookup.unlisted:
            return False
        self._enqueue(execution_id)
        return True

    def _enqueue(self, execution_id: str, *, ended: bool = False, unlisted: bool = False) -> None:
        lookup = self._lookups.setdefault(execution_id, _Lookup())
        lookup.ended, lookup.unlisted, lookup.requested_again = lookup.ended or ended, unlisted, lookup.reading
        lookup.due = 0.0
        deadline = self._replies.deadline(execution_id) or 0.0
        urgent = not unlisted or deadline < asyncio.get_running_loop().time() + LAST_LOOKUP_WINDOW_S
        if not lookup.reading and (not lookup.queued or (urgent and not lookup.urgent)):
            lookup.queued, lookup.urgent = True, urgent
            heapq.heappush(self._ready, (0 if urgent else self._round, deadline, execution_id))
            self._wake.set()

    async def _read(self, execution_id: str, lookup: _Lookup, claimed: Budget) -> None:
        pause: float | None = None
        try:
            outcome = await self._record.outcome(execution_id, claimed)
        except UnknownExecution:
            outcome = None  # it is still being started, or the record lags behind
        except Problem as problem:
            log.debug("lookup_delayed", execution_id=execution_id, problem=problem.slug, **problem.log_fields)
            outcome, pause = None, RETRY_FAILED_READ_AFTER_S
        except Exception:  # a bug that shows in one read must not end the others
            log.exception("lookup_failed", execution_id=execution_id)
            outcome, pause = None, RETRY_FAILED_READ_AFTER_S
        finally:
            lookup.reading = False
            self._reading -= 1
            self._wake.set()
        if outcome is not None:
            self.recovered += self._replies.resolve(execution_id, outcome)
        elif lookup.ended or lookup.requested_again:
            pause = pause or RECORD_LAG_PAUSES_S[min(lookup.repeats, len(RECORD_LAG_PAUSES_S) - 1)]
        if pause is None:
            del self._lookups[execution_id]
            return
        lookup.repeats += 1
        lookup.requested_again = False
        now = asyncio.get_running_loop().time()
        # Repeat a failed read before the deadline, as no other lookup comes in that time.
        remaining = (self._replies.deadline(execution_id) or now) - now
        lookup.due = now + min(pause, max(remaining / 2, MIN_READ_INTERVAL_S))
        heapq.heappush(self._later, (lookup.due, execution_id))

    async def _list(self, missing: set[str]) -> None:
        """List executions, and enqueue those of `missing` that have ended, or need to be read although not listed."""
        try:
            await self._list_pages(missing)
        except Problem as problem:
            if self._listing_failed:
                missing.clear()  # they did not wait for this listing
            else:
                log.warning("list_executions_failed", problem=problem.slug, missing=len(missing), **problem.log_fields)
            self._listing_failed = True
        else:
            self._listing_failed = False
            # What is not listed has not started yet, or did so long ago: read it only if no later lookup will come.
            soon = asyncio.get_running_loop().time() + LAST_LOOKUP_WINDOW_S
            missing = {key for key in missing if key in self._polled or (self._replies.deadline(key) or 0.0) < soon}
        finally:
            self._listing = False
            self._wake.set()
        for execution_id in missing:
            if not self._move_forward(execution_id):
                self._enqueue(execution_id, unlisted=True)

    async def _list_pages(self, missing: set[str]) -> None:
        """List executions, newest first, and remove from `missing` what is listed; enqueue what has ended."""
        found_before = False
        token: str | None = None
        for _ in range(MAX_LIST_PAGES):
            page = await self._record.page(token)
            found = [(key, status) for key, status in page.executions if key in missing]
            for execution_id, status in found:
                missing.discard(execution_id)
                if status not in {"RUNNING", "PENDING_REDRIVE"}:
                    self._enqueue(execution_id, ended=True)
                elif (lookup := self._lookups.get(execution_id)) is not None and lookup.unlisted:
                    del self._lookups[execution_id]
            token = page.next_token
            # All were started within the length of one wait, so they are next to each other in the list.
            if not missing or token is None or (found_before and not found):
                break
            found_before = found_before or bool(found)

"""Recovery: finds the outcomes that the link did not bring, in Step Functions' record and within its quotas.

AppSync Events delivers at most once and replays nothing. What was published while nobody listened is looked for here:
after a gap, shortly before a wait ends, and where an event told that an execution ended but not how. Reading is never
done by a poller per waiter: one page of ListExecutions tells of a thousand executions whether they ended, and only
those that did are read, nearest deadline first.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import structlog

from service.errors import Problem, UnknownExecution

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Iterator
    from types import TracebackType

    from service.bridge.pending import PendingReplies
    from service.stepfunctions.reader import RecordReader
    from service.stepfunctions.token_bucket import TokenBucket

log = structlog.get_logger(__name__)

FEW: Final = 8
"""As many executions are read one by one; for more a listing costs less."""

READS: Final = 32
"""Readings under way at once, so that starts are not held up by them."""

PAGES: Final = 20
"""Pages of a listing at the most: in an account as busy as that the deadlines find what it misses."""

LAST_LOOKUP_WITHIN: Final = 2.0
"""Seconds before the end of a wait in which what a listing does not show is read by itself."""

ROUND: Final = 2.0
"""Seconds between two looks at what cannot be heard of."""

SOONEST: Final = 0.1
"""Seconds before a reading is repeated, at the least."""

FIRST_ROUND: Final = 0.5
"""Seconds from the loss of the link to the first look: a reconnect that goes well takes less."""

AFTER_GAP: Final = (0.0, 1.0, 3.0)
"""Seconds after a gap in which is looked: once would not do, as listings are eventually consistent ("ListExecutions",
AWS Step Functions API Reference)."""

NOT_YET: Final = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Pauses in seconds before an execution is read again that is said to have ended and whose record does not show it; a
workflow publishes its reply before it ends. The last one goes on."""


@dataclass(slots=True)
class _Lookup:
    """One execution that is read, now, in its turn, or after a pause.

    It is known to have `ended`; it is `queued` for its turn, merely because it is `unlisted` (no listing told), or
    `reading` is under way, `again` if it was sought once more meanwhile, or it is `due` then, by the clock of the event
    loop. It was read so many `times`.
    """

    ended: bool = False
    queued: bool = False
    unlisted: bool = False
    reading: bool = False
    again: bool = False
    due: float = 0.0
    times: int = 0


class Recovery:
    """Answers waiters from the record.

    `recovered` counts the executions whose outcome it brought. While it is off (`enabled` is False: an EXPRESS state
    machine keeps no record) it does nothing.
    """

    def __init__(self, replies: PendingReplies, record: RecordReader, *, enabled: bool = True) -> None:
        self.enabled = enabled
        self.recovered = 0
        self._replies = replies
        self._record = record
        self._wake = asyncio.Event()
        self._doubtful: set[str] = set()  # may have ended
        self._lookups: dict[str, _Lookup] = {}
        self._ready: list[tuple[float, str]] = []  # a heap: what is read next, by deadline
        self._later: list[tuple[float, str]] = []  # a heap: what is read again, by time
        self._unheard: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._gap: asyncio.Task[None] | None = None
        self._rounds: asyncio.Task[None] | None = None
        self._reading = 0
        self._listing = False
        replies.on_ended = self.lookup_ended
        replies.on_deadline_near = lambda execution_id: self.look([execution_id])

    async def __aenter__(self) -> Self:
        self._spawn(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.enabled = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def look(self, execution_ids: Collection[str]) -> None:
        """Look soon for the outcomes of executions that may have ended."""
        if self.enabled:
            self._doubtful.update(execution_ids)
            self._wake.set()

    def lookup_ended(self, execution_id: str) -> None:
        """Read the outcome of an execution that is said to have ended, until the record shows it."""
        if self.enabled:
            self._queue(execution_id, ended=True)

    @contextlib.contextmanager
    def polling(self, execution_id: str) -> Iterator[None]:
        """Look again and again for as long as the block lasts: no event of this execution can be heard."""
        self._unheard[execution_id] += 1
        self.look([execution_id])
        if self.enabled and (self._rounds is None or self._rounds.done()):
            self._rounds = self._spawn(self._poll_unheard())
        try:
            yield
        finally:
            self._unheard[execution_id] -= 1
            if not self._unheard[execution_id]:
                del self._unheard[execution_id]

    def lookup_missed(self, execution_ids: Collection[str]) -> None:
        """Look for what may have been published just before it could be heard: its record may show the end later."""
        if self.enabled:
            self._spawn(self._after_gap(execution_ids))

    def link_lost(self) -> None:
        """Look from now on for all that is pending: nothing of it can be heard."""
        if self.enabled:
            self._watch(self._while_down())

    def link_back(self) -> None:
        """Look for all that is pending now: what was published in the gap is lost."""
        if self.enabled:
            self._watch(self._after_gap(self._replies.pending()))

    def _watch(self, work: Coroutine[None, None, None]) -> None:
        if self._gap is not None:
            self._gap.cancel()
        self._gap = self._spawn(work)

    async def _poll_unheard(self) -> None:
        while self._unheard:
            await asyncio.sleep(ROUND)
            self.look(self._unheard)

    async def _while_down(self) -> None:
        await asyncio.sleep(FIRST_ROUND)
        while True:
            self.look(self._replies.pending())
            await asyncio.sleep(ROUND)

    async def _after_gap(self, pending: Collection[str]) -> None:
        passed = 0.0
        for after in AFTER_GAP:
            await asyncio.sleep(after - passed)
            passed = after
            self.look(pending)

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            self._wake.clear()
            pause = self._dispatch(clock())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    def _dispatch(self, now: float) -> float | None:
        """Begin all that can be done now; return in how many seconds there may be more to do."""
        # A listing under way is not waited for by the few that come meanwhile: their waits may be about to end.
        if self._doubtful and not (self._listing and len(self._doubtful) > FEW):
            sought = {key for key in self._doubtful if key in self._replies and not self._hurry(key)}
            self._doubtful.clear()
            if len(sought) > FEW:
                self._listing = True
                self._spawn(self._list(sought))
            else:
                for execution_id in sought:
                    self._queue(execution_id)
        while self._later and self._later[0][0] <= now:
            due, execution_id = heapq.heappop(self._later)
            look = self._lookups.get(execution_id)
            if look is not None and look.due == due:  # else it was hurried meanwhile
                self._queue(execution_id)
        while self._ready and self._reading < READS:
            _, execution_id = self._ready[0]
            look = self._lookups.get(execution_id)
            if look is None or not look.queued:
                heapq.heappop(self._ready)  # a listing told meanwhile that it runs
            elif self._replies.deadline(execution_id) is None:
                heapq.heappop(self._ready)
                del self._lookups[execution_id]  # nobody waits for it any more
            elif (claimed := self._record.claim()) is None:
                return self._record.wait()
            else:
                heapq.heappop(self._ready)
                look.queued, look.unlisted, look.reading = False, False, True
                self._reading += 1
                self._spawn(self._read(execution_id, look, claimed))
        return max(0.0, self._later[0][0] - now) if self._later else None

    def _hurry(self, execution_id: str) -> bool:
        """Have it read as soon as may be if it is read anyway; tell whether it is."""
        look = self._lookups.get(execution_id)
        if look is None or look.unlisted:
            return False
        self._queue(execution_id)
        return True

    def _queue(self, execution_id: str, *, ended: bool = False, unlisted: bool = False) -> None:
        look = self._lookups.setdefault(execution_id, _Lookup())
        look.ended, look.unlisted, look.again = look.ended or ended, unlisted, look.reading
        look.due = 0.0
        if not (look.queued or look.reading):
            look.queued = True
            heapq.heappush(self._ready, (self._replies.deadline(execution_id) or 0.0, execution_id))
            self._wake.set()

    async def _read(self, execution_id: str, look: _Lookup, claimed: TokenBucket) -> None:
        pause: float | None = None
        try:
            outcome = await self._record.outcome(execution_id, claimed)
        except UnknownExecution:
            outcome = None  # its start is still under way, or the record has not heard of it
        except Problem as problem:
            log.debug("recovery_delayed", execution_id=execution_id, problem=problem.slug)
            outcome, pause = None, ROUND
        except Exception:  # a fault of ours in one reading must not end the others
            log.exception("recovery_failed", execution_id=execution_id)
            outcome, pause = None, ROUND
        finally:
            look.reading = False
            self._reading -= 1
            self._wake.set()
        if outcome is not None:
            self.recovered += self._replies.settle(execution_id, outcome)
        elif look.ended or look.again:
            pause = pause or NOT_YET[min(look.times, len(NOT_YET) - 1)]
        if pause is None:
            del self._lookups[execution_id]
            return
        look.times += 1
        look.again = False
        now = asyncio.get_running_loop().time()
        # A reading that failed is repeated before the wait ends, for there is no other look then.
        left = (self._replies.deadline(execution_id) or now) - now
        look.due = now + min(pause, max(left / 2, SOONEST))
        heapq.heappush(self._later, (look.due, execution_id))

    async def _list(self, sought: set[str]) -> None:
        """Learn from a listing, newest first, which of the executions ended; have those read."""
        found_before = False
        try:
            token: str | None = None
            for _ in range(PAGES):
                page = await self._record.page(token)
                found = [(key, status) for key, status in page.executions if key in sought]
                for execution_id, status in found:
                    sought.discard(execution_id)
                    if status not in {"RUNNING", "PENDING_REDRIVE"}:
                        self._queue(execution_id, ended=True)
                    elif (look := self._lookups.get(execution_id)) is not None and look.unlisted:
                        del self._lookups[execution_id]
                token = page.next_token
                # Those that are sought were started within one wait, so that they stand together.
                if not sought or token is None or (found_before and not found):
                    break
                found_before = found_before or bool(found)
        except Problem as problem:
            log.warning("listing_failed", problem=problem.slug, sought=len(sought))
        else:
            # What it does not show has not started yet, or long ago: that is worth a reading if there is no later look.
            soon = asyncio.get_running_loop().time() + LAST_LOOKUP_WITHIN
            sought = {key for key in sought if key in self._unheard or (self._replies.deadline(key) or 0.0) < soon}
        finally:
            self._listing = False
            self._wake.set()
        for execution_id in sought:
            if not self._hurry(execution_id):
                self._queue(execution_id, unlisted=True)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

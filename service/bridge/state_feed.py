"""The states that executions enter, for the streams that ask for them: read from Step Functions' history.

Executions are read one after another, in turn, and only with what leaves half of the quota of GetExecutionHistory to
the recovery of results. So the more executions are watched, the later each state is reported; no result ever is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TypeAlias

import structlog

from service.bridge.background import BackgroundTasks
from service.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from service.stepfunctions.reader import RecordReader

log = structlog.get_logger(__name__)

OnState: TypeAlias = "Callable[[str, int, str], None]"
"""Called with the execution id, the id of an event in its history, and the name of the state that was entered."""

READ_INTERVAL_S: Final = 1.0
"""Seconds between two reads of one execution; longer if the quota does not allow it."""

MAX_PAGES: Final = 25
"""Pages of one read: enough for the longest history, 25,000 events (Step Functions quotas)."""


@dataclass(slots=True, eq=False)
class _Watcher:
    """One stream, and the newest event of the history that it knows."""

    on_state: OnState
    after: int


class _Watched:
    """One execution that streams watch."""

    def __init__(self, execution_id: str) -> None:
        self.execution_id = execution_id
        self.watchers: list[_Watcher] = []
        self.due = 0.0
        """When it may be read again, by the event loop's clock."""
        self.ended = False
        """Whether its history has shown its end; it is not read any more."""


class StateFeed:
    """Reports the states that executions enter.

    Calls `on_ended` with the id of an execution whose history shows its end; one that comes before the redrives of
    which `redrives` knows is no end. Does nothing for a state machine that keeps no record.
    """

    def __init__(
        self, record: RecordReader, on_ended: Callable[[str], None], redrives: Callable[[str], int] = lambda _: 0
    ) -> None:
        self._record = record
        self._on_ended = on_ended
        self._redrives = redrives
        self._watched: dict[str, _Watched] = {}
        self._turns: deque[_Watched] = deque()  # those that are read, each once
        self._tasks = BackgroundTasks()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._watched)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tasks.cancel()
        await self._tasks.aclose()

    @contextlib.contextmanager
    def watching(self, execution_id: str, after: int, on_state: OnState) -> Iterator[None]:
        """Report the states that an execution has entered since the event `after` of its history, until the block ends.

        0 means all states.
        """
        watcher = _Watcher(on_state, after)
        watched = self._watched.get(execution_id)
        if watched is None:
            watched = self._watched[execution_id] = _Watched(execution_id)
            self._turns.append(watched)
        watched.watchers.append(watcher)
        if self._record.kept and (self._task is None or self._task.done()):
            self._task = self._tasks.spawn(self._run())
        try:
            yield
        finally:
            watched.watchers.remove(watcher)
            if not watched.watchers:
                del self._watched[execution_id]

    async def _run(self) -> None:
        """Read all executions in turn, until none is watched or all have ended."""
        clock = asyncio.get_running_loop().time
        while self._turns:
            watched = self._turns.popleft()
            await asyncio.sleep(watched.due - clock())
            await self._record.budgets.claim_history()
            if watched.watchers:
                await self._read(watched)
            if watched.watchers and not watched.ended:
                watched.due = clock() + READ_INTERVAL_S
                self._turns.append(watched)

    async def _read(self, watched: _Watched) -> None:
        execution_id = watched.execution_id
        try:
            entered = await self._entered(watched)
        except Problem as problem:  # it is read again in its next turn
            log.debug("states_delayed", execution_id=execution_id, problem=problem.slug, **problem.log_fields)
            return
        except Exception:  # a bug that shows in one read must not end the others
            log.exception("states_failed", execution_id=execution_id)
            return
        for watcher in watched.watchers:
            for number, name in entered:
                if number > watcher.after:
                    watcher.after = number
                    watcher.on_state(execution_id, number, name)
        if watched.ended:
            self._on_ended(execution_id)

    async def _entered(self, watched: _Watched) -> list[tuple[int, str]]:
        """Read back to the oldest event that a stream does not know; return the states entered, oldest first."""
        after = min(watcher.after for watcher in watched.watchers)
        entered: list[tuple[int, str]] = []
        token: str | None = None
        for number in range(MAX_PAGES):
            if number:
                await self._record.budgets.claim_history()
            page = await self._record.history(watched.execution_id, after, token)
            entered += page.entered
            if number == 0:
                watched.ended = page.ended and page.redrives >= self._redrives(watched.execution_id)
            token = page.next_token
            if token is None or page.oldest <= after + 1:
                break
        return entered[::-1]

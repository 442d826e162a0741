"""Starts that requests with the same idempotency key share (the "singleflight" pattern)."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

from service.bridge import envelope
from service.bridge.background import BackgroundTasks
from service.errors import IdempotencyConflict, IdempotencyKeyReused, OutcomeUnknown, Problem, UnknownExecution
from service.stepfunctions.retry import ExecutionExists

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from service.bridge.envelope import InputMode
    from service.bridge.pending import PendingReplies
    from service.bridge.starter import Start, Starter
    from service.stepfunctions.reader import RecordReader


SHARED_START_TIMEOUT_S: Final = 12.0
"""Seconds that a shared start may take, even if a caller's own wait is shorter: a gap of the link, a start without a
response, and the read that checks it take about that long."""

_OTHER_BODY: Final = "This key was used before with a different body."
_STILL_STARTING: Final = "An earlier request with this key is still starting."


class SharedStart:
    """One start, the event it is for, and the channel on which its execution replies, if it does."""

    def __init__(self, start: Start, event: str, channel: str | None) -> None:
        self.start = start
        self.event = event
        self.channel = channel
        self.users = 0
        self.task: asyncio.Task[None]


class SharedStarts:
    """The shared starts in use, one per execution id.

    Duplicates at one instance share a start. Duplicates at different instances meet in Step Functions, where the name
    of the execution is taken: the later one finds the execution there and compares its input.
    """

    def __init__(self, starter: Starter, record: RecordReader, replies: PendingReplies, input_mode: InputMode) -> None:
        self._input_mode = input_mode
        self._starter = starter
        self._record = record
        self._replies = replies
        self._starts: dict[str, SharedStart] = {}
        self._tasks = BackgroundTasks()

    def __len__(self) -> int:
        return len(self._starts)

    @asynccontextmanager
    async def join(self, start: Start, event: str, channel: str, deadline: float) -> AsyncIterator[SharedStart]:
        """Start the execution, or join the existing one, and share it with others until the block ends.

        Register the waiter first: if the execution has ended already, this resolves it. The start does not end with its
        caller. Raise IdempotencyKeyReused if the execution is for another event, IdempotencyConflict if that cannot be
        determined, or what the start raises, all without the execution's id. `deadline`, by the event loop's clock,
        limits the wait once SHARED_START_TIMEOUT_S has passed.
        """
        with _without_execution_id():
            shared = await self._get_or_create(start, event, channel, deadline)
        shared.users += 1
        try:
            with _without_execution_id():
                await self._wait_for_start(shared, deadline)
                if shared.task.cancelled():
                    raise shared.start.interrupted()
                shared.task.result()
            yield shared
        finally:
            shared.users -= 1
            if not shared.users:  # if the start failed, the next request with this key tries again
                del self._starts[start.execution_id]

    def release(self) -> None:
        """Cancel the starts under way."""
        self._tasks.cancel()

    async def aclose(self) -> None:
        """Wait for the starts whose callers have left; each is bounded in time."""
        await self._tasks.aclose()

    async def _get_or_create(self, start: Start, event: str, channel: str, deadline: float) -> SharedStart:
        clock = asyncio.get_running_loop().time
        while (shared := self._starts.get(start.execution_id)) is not None and not envelope.same_event(
            shared.event, event
        ):
            # Only the start can show which of the two events the execution is for.
            await self._wait_for_start(shared, deadline)
            if shared.task.cancelled():
                raise start.interrupted()
            if shared.start.done:
                raise IdempotencyKeyReused(_OTHER_BODY)
            if shared.start.doubt is not None or clock() > deadline:
                raise IdempotencyConflict(_STILL_STARTING)
        if shared is None:
            shared = self._starts[start.execution_id] = SharedStart(start, event, channel)
            shared.task = self._tasks.spawn(self._run(shared, deadline - clock()))
            shared.task.add_done_callback(_retrieve_exception)
        return shared

    @staticmethod
    async def _wait_for_start(shared: SharedStart, deadline: float) -> None:
        """Wait until its task has ended; another caller, with another wait, may have created it."""
        remaining = deadline - asyncio.get_running_loop().time()
        last = SHARED_START_TIMEOUT_S / 2
        # In two parts: the first may have expired while the whole process, the start included, stood still.
        for part in (max(remaining, SHARED_START_TIMEOUT_S) - last, last):
            await asyncio.wait([shared.task], timeout=part)
            if shared.task.done():
                return
        raise IdempotencyConflict(_STILL_STARTING)

    async def _run(self, shared: SharedStart, timeout: float) -> None:
        try:
            await self._starter.run(shared.start, timeout)
            if shared.start.doubt is not None:
                await self._resolve_doubt(shared, shared.start.doubt)
        except ExecutionExists:
            await self._adopt_existing(shared, exists=True)

    async def _resolve_doubt(self, shared: SharedStart, doubt: OutcomeUnknown) -> None:
        """Determine whether an unconfirmed start succeeded; the name may belong to another event's execution.

        Raise `doubt` if the record does not show it; the caller can retry with the same key.
        """
        try:
            await self._adopt_existing(shared)
        except IdempotencyKeyReused:
            raise
        except Problem:
            raise doubt from None
        shared.start.doubt = None

    async def _adopt_existing(self, shared: SharedStart, *, exists: bool = False) -> None:
        """Use the existing execution if it is for the same event."""
        execution_id = shared.start.execution_id
        try:
            execution = await self._record.describe(execution_id, exists=exists)
        except UnknownExecution:
            raise IdempotencyConflict("The execution of this key cannot be read yet; try again later.") from None
        envelope_ = self._input_mode.decode(execution.input)
        if envelope_ is None:
            raise IdempotencyConflict("The execution of this key was not started by this service.")
        if not envelope.same_event(envelope_.event, shared.event):
            raise IdempotencyKeyReused(_OTHER_BODY)
        start = shared.start
        start.done, start.age, start.started_at = True, execution.seconds, execution.started_at
        shared.channel = envelope_.channel
        if execution.outcome is not None:
            self._replies.resolve(execution_id, execution.outcome, execution.redrives)
        elif execution.redrives:
            self._replies.redriven(execution_id, execution.redrives)


@contextmanager
def _without_execution_id() -> Iterator[None]:
    """Let no problem of the block name an execution.

    Until it is known that the execution of a key is for the same event, it may be a stranger's who chose the same key,
    and whoever knows its id can read and stop it. The log line of the request does not name it either: that would link
    one caller's request to another's, and an operator can do nothing about a conflict but talk to the caller.
    """
    try:
        yield
    except Problem as problem:
        problem.execution_id = None
        raise


def _retrieve_exception(task: asyncio.Task[None]) -> None:
    """Keep asyncio from logging an exception if every caller left before it was raised."""
    if not task.cancelled():
        task.exception()

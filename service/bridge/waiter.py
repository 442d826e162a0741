"""A waiter: the future of one request for the outcome of an execution."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.bridge.pending import PendingReplies
    from service.stepfunctions.outcomes import Outcome
    from service.stepfunctions.reader import RecordReader

OnProgress: TypeAlias = "Callable[[str, bytes], None]"
"""Called with the execution id and the JSON text of the progress that its workflow published."""

LOOKUP_BEFORE_DEADLINE_S: Final = 1.0
"""Seconds before a deadline at which the outcome is looked up, as a reply can be lost without a visible gap. In a wait
shorter than four times that, the lookup comes after three quarters of it."""

MIN_WAIT_FOR_LOOKUP_S: Final = 1.0
"""Seconds; a shorter wait ends without a lookup."""


class Waiter(asyncio.Future["Outcome | None"]):
    """A future for the outcome of an execution; its result is None if it was released without one.

    It is registered for the duration of a `with` block. `deadline` is when the wait ends and `resolved_at` when the
    outcome came, both by the event loop's clock.
    """

    # Thousands wait at once, so the size of each one matters.
    __slots__ = (
        "_replies",
        "_tick",
        "deadline",
        "execution_id",
        "known",
        "on_progress",
        "record",
        "redrives",
        "resolved_at",
        "since",
        "started_at",
    )

    def __init__(
        self,
        replies: PendingReplies,
        execution_id: str,
        deadline: float,
        on_progress: OnProgress | None,
        record: RecordReader | None,
        redrives: int = 0,
    ) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self.execution_id = execution_id
        self.deadline = deadline
        self.since = self.get_loop().time()
        self.record = record
        """Where the outcome can be read; None if nowhere."""
        self.on_progress = on_progress
        self.redrives = redrives
        """After how many redrives an end counts, at least: that of an earlier run may be reported late."""
        self.resolved_at: float | None = None
        self.started_at: float | None = None
        """When the execution was started, in seconds since the epoch by AWS's clock; None if that is not known."""
        self.known = True
        """Whether the execution was started here or is known to exist; otherwise its id may be a guess."""
        self._replies = replies
        self._tick: int | None = None

    def __enter__(self) -> Self:
        self._replies.register(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._tick is not None:
            self._replies.deadline_timers.discard(self._tick, self)
        self._replies.unregister(self)

    def until_deadline(self) -> asyncio.Future[Outcome | None]:
        """Let the wait end at the deadline, with None; return the waiter itself.

        This is no coroutine that waits: each one would take 250 bytes while its request waits.
        """
        if not self.done():
            remaining = self.deadline - self.get_loop().time()
            if remaining < MIN_WAIT_FOR_LOOKUP_S:
                self.expire_at_deadline()
            else:
                self._tick = self._replies.deadline_timers.add(
                    self.deadline - min(LOOKUP_BEFORE_DEADLINE_S, remaining / 4), self
                )
        return self

    def accepts(self, redrives: int | None) -> bool:
        """Return whether an end after this many redrives counts; None if it is not known after how many."""
        return not self.redrives or (redrives is not None and redrives >= self.redrives)

    def expire_at_deadline(self) -> None:
        """Resolve to None at the deadline."""
        loop = self.get_loop()
        # One iteration of the loop later, so that an outcome that comes in the same iteration still counts.
        loop.call_at(self.deadline, loop.call_soon, self._expire)

    def _expire(self) -> None:
        if not self.done():
            self.set_result(None)

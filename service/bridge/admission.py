"""Admission control: how many requests may be in flight, and how they end at shutdown."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from service.bridge.in_flight import InFlightCount
from service.errors import AtCapacity, CallerShareExceeded, Draining


class Admission:
    """Counts the requests in flight, up to `limit`, of which one caller may have `caller_limit`."""

    def __init__(self, limit: int, caller_limit: int | None = None) -> None:
        self.limit = limit
        self.caller_limit = limit if caller_limit is None else caller_limit
        self._count = InFlightCount()
        self.draining = False
        """Whether the instance is about to stop. It still accepts requests for a short time."""
        self.released_early = False
        """Whether requests were released before they ended by themselves."""
        self._refusing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._released = asyncio.Event()
        self._cancellable: set[asyncio.Task[Any]] = set()

    @property
    def in_flight(self) -> int:
        """How many requests are in flight."""
        return self._count.total

    @property
    def released(self) -> bool:
        """Whether all requests in flight have to end now."""
        return self._released.is_set()

    def check(self, caller: str | None, typical_seconds: float = 0.0) -> None:
        """Raise Draining, CallerShareExceeded or AtCapacity if a new request of `caller` has to be refused.

        A request usually takes `typical_seconds`. Without a caller, only the limit of all requests applies.
        """
        # Raised here: a frame that has its exception in a variable is a cycle, which only the garbage collector frees.
        if self._refusing:
            raise Draining("This instance is shutting down; retry to reach another one.")
        retry_after = typical_seconds / 2  # on average, half of the requests in flight will have ended by then
        if caller is not None and self._count.of(caller) >= self.caller_limit:
            raise CallerShareExceeded(
                f"Each caller may have {self.caller_limit} requests in flight.", retry_after=retry_after
            )
        if self.in_flight >= self.limit:
            raise AtCapacity(f"{self.in_flight} requests are already in flight.", retry_after=retry_after)

    def begin(self, caller: str | None) -> None:
        """Count a request."""
        self._count.begin(caller)
        self._idle.clear()

    def end(self, caller: str | None) -> None:
        """Count a request no longer."""
        self._count.end(caller)
        if not self.in_flight:
            self._idle.set()

    def cancellable(self) -> Cancellable:
        """Return a context manager that lets `release` cancel the task that runs its block."""
        return Cancellable(self._cancellable)

    async def drain(self, timeout: float, delay: float = 0.0) -> bool:
        """Accept requests for `delay` more seconds, then wait until all have ended.

        Return whether they did within `timeout` seconds.
        """
        self.draining = True
        try:
            async with asyncio.timeout(timeout):
                if delay:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(delay):
                            await self._released.wait()
                self._refusing = True
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def release(self) -> None:
        """Refuse new requests and end those in flight."""
        self.draining = self._refusing = True
        self.released_early = self.released_early or self.in_flight > 0
        self._released.set()
        self._idle.set()  # `drain` need not wait any longer
        for task in self._cancellable:
            task.cancel()


class Cancellable:
    """Has the current task among `tasks` for the duration of a `with` block; a generator would need more time."""

    __slots__ = ("_task", "_tasks")

    def __init__(self, tasks: set[asyncio.Task[Any]]) -> None:
        self._tasks = tasks
        self._task: asyncio.Task[Any] | None = None

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        if self._task is None:
            raise RuntimeError("a request runs in a task")
        self._tasks.add(self._task)

    def __exit__(self, *_: object) -> None:
        if self._task is not None:
            self._tasks.discard(self._task)
            self._task = None

"""Admission control: how many requests may be in flight, and how they end at shutdown."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from service.errors import AtCapacity, Draining, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator


class Admission:
    """Counts the requests in flight, each for the duration of a `with` block, up to `limit`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_flight = 0
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
    def released(self) -> bool:
        """Whether all requests in flight have to end now."""
        return self._released.is_set()

    def refusal(self, typical_seconds: float = 0.0) -> Problem | None:
        """Return why a new request is refused, or None; a request usually takes `typical_seconds`."""
        if self._refusing:
            return Draining("This instance is shutting down; retry to reach another one.")
        if self.in_flight >= self.limit:
            # On average, half of the requests in flight will have ended by then.
            return AtCapacity(f"{self.in_flight} requests are already in flight.", retry_after=typical_seconds / 2)
        return None

    def __enter__(self) -> None:
        """Count a request until the block ends."""
        self.in_flight += 1
        self._idle.clear()

    def __exit__(self, *_: object) -> None:
        self.in_flight -= 1
        if not self.in_flight:
            self._idle.set()

    @contextmanager
    def cancellable(self) -> Iterator[None]:
        """Let `release` cancel the task that runs the block."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a request runs in a task")
        self._cancellable.add(task)
        try:
            yield
        finally:
            self._cancellable.discard(task)

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

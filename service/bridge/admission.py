"""Admission: how many requests are held at once, and how that ends when the instance stops."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from service.errors import AtCapacity, Draining, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator


class Admission:
    """Holds up to `most` requests, each for as long as a block of its own lasts, until it is told to take no more."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0
        self.draining = False
        """Whether the instance is about to stop; for some time yet it takes what comes."""
        self.released_early = False
        """Whether requests were released before they came to their own end."""
        self._refusing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._released = asyncio.Event()
        self._cancellable: set[asyncio.Task[Any]] = set()

    @property
    def released(self) -> bool:
        """Whether what is held has to end now."""
        return self._released.is_set()

    def refusal(self, typical: float = 0.0) -> Problem | None:
        """Tell why no request can be taken now, None if one can; requests are held for `typical` seconds."""
        if self._refusing:
            return Draining("This instance is shutting down; retry to reach another one.")
        if self.held >= self.most:
            # On average, half of those that are held will have left by then.
            return AtCapacity(f"{self.held} requests are already in flight.", retry_after=typical / 2)
        return None

    def __enter__(self) -> None:
        """Hold a request for as long as the block lasts."""
        self.held += 1
        self._idle.clear()

    def __exit__(self, *_: object) -> None:
        self.held -= 1
        if not self.held:
            self._idle.set()

    @contextmanager
    def cancellable(self) -> Iterator[None]:
        """Let `release` cancel the task that runs the block."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("requests are held by tasks")
        self._cancellable.add(task)
        try:
            yield
        finally:
            self._cancellable.discard(task)

    async def drain(self, timeout: float, lag: float = 0.0) -> bool:
        """Take requests for `lag` more seconds, then wait until none is held.

        Tell whether that came to pass within `timeout` seconds.
        """
        self.draining = True
        try:
            async with asyncio.timeout(timeout):
                if lag:
                    await self._released_within(lag)
                self._refusing = True
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def release(self) -> None:
        """Take no more requests, and let those go that are held."""
        self.draining = self._refusing = True
        self.released_early = self.released_early or self.held > 0
        self._released.set()
        self._idle.set()  # there is nothing left to wait for
        for task in self._cancellable:
            task.cancel()

    async def _released_within(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._released.wait()
        except TimeoutError:
            pass

"""Admission control: how many requests may be in flight, and how they end at shutdown."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from service.bridge.in_flight import InFlightCount
from service.errors import AtCapacity, CallerShareExceeded, Draining, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator


class Admission:
    """Counts the requests in flight, up to `limit`, of which one caller may have `caller_limit`."""

    def __init__(self, limit: int, caller_limit: int | None = None) -> None:
        self.limit = limit
        self.caller_limit = limit if caller_limit is None else caller_limit
        self._count = InFlightCount()
        self._of_nobody = InFlight(self, None)
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

    def admits(self, caller: str | None) -> bool:
        """Return whether a new request of `caller` would be accepted."""
        try:
            self.check(caller)
        except Problem:
            return False
        return True

    def request(self, caller: str | None) -> InFlight:
        """Return a context manager that counts a request of `caller`, if callers are known, until its block ends."""
        return self._of_nobody if caller is None else InFlight(self, caller)

    def begin(self, caller: str | None) -> None:
        """Count a request."""
        self._count.begin(caller)
        self._idle.clear()

    def end(self, caller: str | None) -> None:
        """Count a request no longer."""
        self._count.end(caller)
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


class InFlight:
    """One request in flight, for the duration of a `with` block."""

    __slots__ = ("_admission", "_caller")

    def __init__(self, admission: Admission, caller: str | None) -> None:
        self._admission = admission
        self._caller = caller

    def __enter__(self) -> None:
        self._admission.begin(self._caller)

    def __exit__(self, *_: object) -> None:
        self._admission.end(self._caller)

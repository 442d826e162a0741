"""Budgets: the calls of one API action that callers can cause, within its quota."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from typing import TYPE_CHECKING, Final, TypeVar

from service.errors import Throttled, UnknownExecution
from service.stepfunctions.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from service.stepfunctions.token_bucket import Quota

T = TypeVar("T")

TOKEN_TIMEOUT_S: Final = 3.0
"""Seconds that a call may wait for a token of its quota. If the wait would be longer, the call fails at once."""

FIRST_PAUSE_S: Final = 0.1
"""The longest pause in seconds before a throttled call is repeated the first time; the limit doubles each time."""

GUESS_SHARE: Final = 1 / 3
"""The part of a quota that is open to guesses: calls for ids of which this instance knows nothing."""

MAX_CONCURRENT_GUESSES: Final = 8
"""Guesses under way at once, far fewer than the calls of one action that may be in flight."""


class Budget:
    """The tokens of one action's quota.

    Anyone can make up ids, so guesses take a token of the quota and one of their own share of it, and have slots of
    their own. However many they are, the rest of the quota and the other slots are left to the calls for known ids.
    """

    def __init__(self, quota: Quota, clock: Callable[[], float] = time.monotonic) -> None:
        self.bucket = TokenBucket(quota, clock)
        self._guess_bucket = TokenBucket(quota.share(GUESS_SHARE), clock)
        self._guess_slots = asyncio.Semaphore(MAX_CONCURRENT_GUESSES)

    async def run(
        self,
        call: Callable[[], Awaitable[T]],
        execution_id: str | None = None,
        *,
        guess: bool = False,
        timeout: float = TOKEN_TIMEOUT_S,
    ) -> T:
        """Make a call as soon as there is a token for it.

        A throttled call is repeated after a pause and with another token. Raise Throttled if there is no token within
        `timeout` seconds, or what the call raises.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        if guess:
            async with self._guess_slot(execution_id, deadline):
                return await self._repeat(call, execution_id, deadline, self.bucket, self._guess_bucket)
        return await self._repeat(call, execution_id, deadline, self.bucket)

    async def spend(self, call: Awaitable[T]) -> T:
        """Make a call whose token was taken, and note whether it was throttled."""
        try:
            result = await call
        except Throttled:
            self.bucket.on_throttled()
            self._guess_bucket.on_throttled()
            raise
        except UnknownExecution:
            self._on_success()
            raise
        self._on_success()
        return result

    def _on_success(self) -> None:
        self.bucket.on_success()
        self._guess_bucket.on_success()

    @contextlib.asynccontextmanager
    async def _guess_slot(self, execution_id: str | None, deadline: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(deadline):
                await self._guess_slots.acquire()
        except TimeoutError:
            raise _used_up(execution_id, self._guess_bucket.seconds_to_wait()) from None
        try:
            yield
        finally:
            self._guess_slots.release()

    async def _repeat(
        self, call: Callable[[], Awaitable[T]], execution_id: str | None, deadline: float, *buckets: TokenBucket
    ) -> T:
        pause = FIRST_PAUSE_S
        while True:
            await self._wait_for_token(execution_id, deadline, *buckets)
            with contextlib.suppress(Throttled):
                return await self.spend(call())
            delay = random.uniform(0, pause)  # noqa: S311 - spreads load, guards nothing
            if asyncio.get_running_loop().time() + delay > deadline:
                raise _used_up(execution_id, delay)
            await asyncio.sleep(delay)
            pause *= 2

    @staticmethod
    async def _wait_for_token(execution_id: str | None, deadline: float, *buckets: TokenBucket) -> None:
        wait = max(bucket.seconds_to_wait() for bucket in buckets)
        if wait > deadline - asyncio.get_running_loop().time():
            raise _used_up(execution_id, wait)
        for bucket in buckets:
            bucket.reserve(math.inf)
        if wait:
            await asyncio.sleep(wait)


def _used_up(execution_id: str | None, retry_after: float) -> Throttled:
    return Throttled(
        "The API quota for this call is used up; try again later.", execution_id=execution_id, retry_after=retry_after
    )

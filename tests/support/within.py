"""Claims about how soon something happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Fail if the block takes longer.

    The lookup before the deadline answers almost every wait in the end, so a test of something that happens at once has
    to say how soon: a time that a busy machine keeps, and far below the wait.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise AssertionError(f"this took longer than {seconds} s") from error

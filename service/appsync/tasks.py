"""Helpers for asyncio tasks."""

from __future__ import annotations

import asyncio
from typing import Any


async def cancel_and_wait(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended, however it ends."""
    task.cancel()
    try:
        await asyncio.wait([task])
    finally:
        if task.done() and not task.cancelled():
            task.exception()  # otherwise asyncio logs that it was never retrieved

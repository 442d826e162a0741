"""How the interpreter runs the service: its event loop and its garbage collector, chosen by measurement.

docs/performance.md has the figures.
"""

from __future__ import annotations

import asyncio
import gc
import time
from typing import TYPE_CHECKING, Final, TypeVar

import uvloop

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

# A request makes no cycles that last, and what it holds while it waits would be looked at over and over: with Python's
# own thresholds (700, 10, 10) a quarter of the CPU time of a request is the collector's.
_THRESHOLDS: Final = (50_000, 20, 50)


class _Loop(uvloop.Loop):
    """libuv's event loop with the clock of asyncio's own: libuv's counts whole milliseconds, from turn to turn."""

    def time(self) -> float:
        """Return the monotonic clock, which tells how long the parts of a request took."""
        return time.monotonic()


def run(work: Coroutine[None, None, T]) -> T:
    """Run `work` to its end as `asyncio.run` does, on libuv's event loop."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(work)


def freeze_heap() -> None:
    """Leave all that is there now, once the service is up, out of every later collection, and collect seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)

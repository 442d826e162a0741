"""The event loop and the settings of the garbage collector, chosen by measurement.

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

# A request leaves no reference cycles behind, and the objects of waiting requests would be traversed again and again:
# with Python's own thresholds (700, 10, 10) the collector takes a quarter of a request's CPU time.
_GC_THRESHOLDS: Final = (50_000, 20, 50)


class _Loop(uvloop.Loop):
    """libuv's event loop with the clock of asyncio's.

    libuv's own clock counts whole milliseconds and advances once per iteration.
    """

    def time(self) -> float:
        """Return the monotonic clock, which is precise enough to time the parts of a request."""
        return time.monotonic()


def run(work: Coroutine[None, None, T]) -> T:
    """Run `work` to its end on libuv's event loop, as `asyncio.run` does on asyncio's."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(work)


def freeze_heap() -> None:
    """Exclude all present objects from garbage collection, and collect less often; call it once the service is up."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)

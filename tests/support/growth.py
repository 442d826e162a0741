"""How the cost of something grows with the size of its input."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

SUPERLINEAR: Final = 9
"""The growth that a linear cost stays well below: it is 4, a quadratic one is 16."""

NEGLIGIBLE_S: Final = 0.001
"""Below this, a cost harms nobody, and the clock and the machine decide how it grows."""


def growth(run: Callable[[int], object], size: int) -> float:
    """Return by what factor the CPU time of `run` grows when its input grows to four times the size, at most.

    The sizes go up to `size` and end early at a growth beyond SUPERLINEAR, so that no test waits for an
    exponential one.
    """
    worst, smaller = 0.0, seconds(run, max(1, size // 256))
    for divisor in (64, 16, 4, 1):
        larger = seconds(run, max(1, size // divisor))
        worst = max(worst, larger / max(smaller, NEGLIGIBLE_S))
        if worst > SUPERLINEAR:
            break
        smaller = larger
    return worst


def seconds(run: Callable[[int], object], size: int, times: int = 5) -> float:
    """Return the least CPU time of several runs: noise only adds to it."""
    found = []
    for _ in range(times):
        began = time.process_time()
        run(size)
        found.append(time.process_time() - began)
        if found[-1] > 2:
            break
    return min(found)

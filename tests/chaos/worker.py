"""What a worker process of the fault suite does."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from typing import Final

from service.telemetry import logs
from tests.chaos import process_scenarios  # noqa: F401 - registers its scenarios
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.stage import Report, run

__all__ = ["SCENARIOS", "batches", "play"]

MAX_RUNS: Final = 6
"""Runs at once in a worker: they mostly wait."""

MAX_PROCESSES: Final = 4
"""Processes of the service in those runs: the start of each is a second of work."""


def batches(runs: list[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    """Divide runs among workers."""
    batch: list[tuple[str, int]] = []
    processes = 0
    for run_ in runs:
        more = SCENARIOS[run_[0]].processes
        if len(batch) == MAX_RUNS or (processes + more > MAX_PROCESSES and more):
            yield batch
            batch, processes = [], 0
        batch.append(run_)
        processes += more
    yield batch


def play(runs: list[tuple[str, int]]) -> list[Report]:
    """Play several scenarios at once, each with its seed."""
    logs.configure("CRITICAL", "json")

    async def all_of_them() -> list[Report]:
        barrier = asyncio.Barrier(len(runs))
        return await asyncio.gather(*(_safely(name, seed, barrier) for name, seed in runs))

    return asyncio.run(all_of_them())


async def _safely(name: str, seed: int, barrier: asyncio.Barrier) -> Report:
    """Play once; a fault of the suite itself is a fault."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(240):
            return await run(SCENARIOS[name], seed, barrier)
    except Exception as error:  # noqa: BLE001 - the other runs go on
        await barrier.abort()  # none of them waits for this one
        return Report(name, seed, [f"the run itself broke: {error!r}"], Counter(), time.monotonic() - began)

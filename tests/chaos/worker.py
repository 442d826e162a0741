"""The work of one worker process of the fault suite."""

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
"""Concurrent runs in a worker, as they mostly wait."""

MAX_PROCESSES: Final = 4
"""Processes of the service in those runs, as each takes a second of processor time to start."""


def batches(runs: list[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    """Divide the runs into batches for the workers."""
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
    """Run several scenarios at once, each with its seed."""
    logs.configure("CRITICAL", "json")

    async def run_all() -> list[Report]:
        barrier = asyncio.Barrier(len(runs))
        return await asyncio.gather(*(_safely(name, seed, barrier) for name, seed in runs))

    return asyncio.run(run_all())


async def _safely(name: str, seed: int, barrier: asyncio.Barrier) -> Report:
    """Run once; an error of the suite itself counts as a failure."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(240):
            return await run(SCENARIOS[name], seed, barrier)
    except Exception as error:  # noqa: BLE001 - the other runs continue
        await barrier.abort()  # none of them waits for this run
        return Report(name, seed, [f"the run itself failed: {error!r}"], Counter(), time.monotonic() - began)

"""The soak test: `python -m tests.chaos.soak` sends many requests and fails if memory or open resources grow."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import aiohttp

from service.local import LocalAws
from tests.chaos.process import ProcessInstance
from tests.chaos.stage import wait_until_ready
from tests.support.processes import settings_for

SAMPLES: Final = 50
"""Number of memory measurements."""

WARM_UP_SHARE: Final = 0.2
"""Share of the requests after which memory must be flat."""

MAX_GROWTH_BYTES: Final = 16.0
"""Growth of memory per request, 16 MB in a million: less than one leaked future per request."""

STABLE_METRICS: Final = {
    "tasks": "sync_front_event_loop_tasks",
    "table": "sync_front_pending_executions",
    "in flight": "sync_front_requests_in_flight",
    "connections": "sync_front_connections",
}
"""Metrics that must be the same before and after, by what they count."""


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def files(pid: int) -> int:
    """Return the number of open files of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def stable_counts(process: ProcessInstance) -> dict[str, float]:
    """Return the process's counts once they are stable, as sockets close later than their callers."""
    async with aiohttp.ClientSession() as http:

        async def count() -> dict[str, float]:
            values = await process.metrics(http)
            return {"files": files(process.pid)} | {what: values[name] for what, name in STABLE_METRICS.items()}

        counts, same = await count(), 0
        while same < 10:
            await asyncio.sleep(0.1)
            now = await count()
            counts, same = now, same + 1 if now == counts else 0
        return counts


async def soak(requests: int, callers: int) -> list[str]:
    """Send this many requests from this many callers; return what grew or was wrong."""
    responses: Counter[str] = Counter()
    samples: list[tuple[int, int]] = []
    step = max(1, requests // SAMPLES)

    async def send(process: ProcessInstance, numbers: Iterable[int]) -> None:
        remaining = iter(numbers)

        async def caller() -> None:
            for number in remaining:
                body = {"nome": str(number), "sobrenome": "x"}
                async with http.post(f"{process.url}/event", json=body) as response:
                    result = await response.json(content_type=None)
                    correct = response.status == 200 and result["nome completo"] == f"{number} x"
                    responses["correct" if correct else str(response.status)] += 1
                if number % step == 0:
                    samples.append((number, resident(process.pid)))
                    sys.stdout.write(f"\r{number} requests, {samples[-1][1] / 1e6:.1f} MB ")
                    sys.stdout.flush()

        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http, asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(caller())

    async with LocalAws(port=0, wait=0) as aws:
        process = ProcessInstance(aws.url, settings_for(aws))
        await process.start()
        await wait_until_ready(process.url)
        began = time.monotonic()
        await send(process, range(requests // 20))
        before = await stable_counts(process) | {"subscriptions": aws.subscriptions}
        await send(process, range(requests // 20, requests))
        took = time.monotonic() - began
        after = await stable_counts(process) | {"subscriptions": aws.subscriptions}
        await process.stop()
    warm = [(number, size) for number, size in samples if number >= requests * WARM_UP_SHARE]
    slope = statistics.linear_regression(*zip(*warm, strict=True)).slope
    sys.stdout.write(
        f"\r{requests} requests in {took:.0f} s, {dict(responses)}; memory {samples[0][1] / 1e6:.1f} MB at the start, "
        f"{warm[0][1] / 1e6:.1f} MB after the warm-up, {samples[-1][1] / 1e6:.1f} MB at the end, "
        f"{slope:.1f} bytes per request; counts before {before}, after {after}\n"
    )
    faults = list(process.faults)
    faults += [
        f"{what} grew from {count:g} to {after[what]:g}" for what, count in before.items() if after[what] > count
    ]
    if set(responses) != {"correct"}:
        faults.append(f"wrong responses: {dict(responses)}")
    if slope > MAX_GROWTH_BYTES:
        faults.append(f"memory grows by {slope:.1f} bytes per request")
    return faults


def main() -> int:
    """Run the test; 0 if nothing grew."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000, help="number of requests (default: one million)")
    parser.add_argument("--callers", type=int, default=50, help="concurrent callers (default: 50)")
    options = parser.parse_args()
    faults = asyncio.run(soak(options.requests, options.callers))
    for fault in faults:
        sys.stdout.write(f"FAILED: {fault}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

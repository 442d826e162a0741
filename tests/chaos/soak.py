"""`python -m tests.chaos.soak`: many requests on a short workflow; what the process holds must not grow with them."""

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
from tests.chaos.stage import ready
from tests.support.processes import settings_for

SAMPLES: Final = 50
"""How often memory is measured."""

WARM_UP_SHARE: Final = 0.2
"""The share of the requests after which memory has to be flat."""

MAX_GROWTH_BYTES: Final = 16.0
"""Bytes that memory may grow by for each request, which is 16 MB in a million: less than one leaked future each."""


STABLE_METRICS: Final = {
    "tasks": "sync_front_event_loop_tasks",
    "table": "sync_front_pending_executions",
    "in flight": "sync_front_requests_in_flight",
    "connections": "sync_front_connections",
}
"""What must be the same before and after, by the metric that tells it."""


def resident(pid: int) -> int:
    """Return the process's resident memory in bytes."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def files(pid: int) -> int:
    """Count the process's open files."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def counts(process: ProcessInstance) -> dict[str, float]:
    """Count what the process holds between requests, once that stays the same: sockets close after their callers."""
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
    """Send so many requests from so many callers; return what grew or was wrong."""
    answers: Counter[str] = Counter()
    samples: list[tuple[int, int]] = []
    step = max(1, requests // SAMPLES)

    async def play(process: ProcessInstance, numbers: Iterable[int]) -> None:
        left = iter(numbers)

        async def caller() -> None:
            for number in left:
                body = {"nome": str(number), "sobrenome": "x"}
                async with http.post(f"{process.url}/event", json=body) as response:
                    answer = await response.json(content_type=None)
                    right = response.status == 200 and answer["nome completo"] == f"{number} x"
                    answers["right" if right else str(response.status)] += 1
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
        await ready(process.url)
        began = time.monotonic()
        await play(process, range(requests // 20))
        before = await counts(process) | {"subscriptions": aws.subscriptions}
        await play(process, range(requests // 20, requests))
        took = time.monotonic() - began
        after = await counts(process) | {"subscriptions": aws.subscriptions}
        await process.stop()
    warm = [(number, size) for number, size in samples if number >= requests * WARM_UP_SHARE]
    slope = statistics.linear_regression(*zip(*warm, strict=True)).slope
    sys.stdout.write(
        f"\r{requests} requests in {took:.0f} s, {dict(answers)}; memory {samples[0][1] / 1e6:.1f} MB at first, "
        f"{warm[0][1] / 1e6:.1f} MB warm, {samples[-1][1] / 1e6:.1f} MB at the end, {slope:.1f} bytes a request; "
        f"held before {before}, after {after}\n"
    )
    faults = list(process.faults)
    faults += [f"{what}: {after[what]:g}, before {count:g}" for what, count in before.items() if after[what] > count]
    if set(answers) != {"right"}:
        faults.append(f"wrong answers: {dict(answers)}")
    if slope > MAX_GROWTH_BYTES:
        faults.append(f"memory grows by {slope:.1f} bytes a request")
    return faults


def main() -> int:
    """Run; 0 if nothing grew."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000, help="how many (default: a million)")
    parser.add_argument("--callers", type=int, default=50, help="how many at once (default: 50)")
    options = parser.parse_args()
    faults = asyncio.run(soak(options.requests, options.callers))
    for fault in faults:
        sys.stdout.write(f"BROKEN: {fault}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

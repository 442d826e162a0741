"""`python -m tests.chaos.acceptance`: the promises at full size, under AWS's documented quotas, with figures.

A cut of the link while thousands are pending, and a rolling restart under load. Each prints what it measured and is
broken if a bound is exceeded or the history shows a lie.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from service.local import AWS_QUOTAS, LocalAws
from tests.chaos.callers import Callers
from tests.chaos.history import Call, Record, check
from tests.chaos.process import Balancer, ProcessInstance
from tests.chaos.proxy import Proxy
from tests.chaos.stage import ready, workflow
from tests.support.processes import settings_for


@dataclass(slots=True)
class Request:
    """One request of a measured run: when its workflow was to end, and what came of it and when."""

    until: float
    call: Call | None = None
    answered: float = 0.0


class Deployment:
    """A local AWS with the quotas of AWS, a proxy before its WebSocket, and processes of the service."""

    def __init__(self, **environment: str) -> None:
        self._environment = {"REQUEST_SCHEMA": "", "DRAIN_DELAY": "2"} | environment
        self._stack = AsyncExitStack()
        self.quotas = dict(AWS_QUOTAS)
        self.balancer = Balancer()
        self.instances: list[ProcessInstance] = []

    async def __aenter__(self) -> Self:
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        definition = Path(folder) / "workflow.asl.json"
        definition.write_text(workflow())
        aws = LocalAws(port=0, definition=definition, quotas=self.quotas)
        self.aws = await self._stack.enter_async_context(aws)
        self.link = await self._stack.enter_async_context(Proxy(aws.realtime_url, random.Random(1)))
        self.callers = Callers(self.balancer.choose, random.Random(1), timeout=300)
        self._stack.push_async_callback(self.callers.close)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def add(self) -> ProcessInstance:
        """Start one more process, ready for its share of the requests."""
        environment = settings_for(self.aws) | {"APPSYNC_REALTIME_URL": self.link.url} | self._environment
        process = ProcessInstance(self.aws.url, environment)
        self._stack.push_async_callback(process.stop)
        await process.start()
        await ready(process.url)
        self.instances.append(process)
        self.balancer.targets.append(process.url)
        return process

    async def check(self) -> list[str]:
        """Resolve every Location without quotas, stop, and compare the history with the record."""
        self.quotas.clear()
        await self.callers.resolve()
        faults = []
        for instance in self.instances:
            await instance.stop()
            faults += instance.faults
        records = {name: Record.read(execution) for name, execution in self.aws.executions.items()}
        return faults + check(self.callers.history, records, {"subscriptions": self.aws.subscriptions})


def show(line: str) -> None:
    """Print at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def cut(pending: int, ending: int, timeout: float, rate: float, seconds: float) -> list[str]:
    """Cut the link for so many seconds while `ending` of `pending` executions end.

    Requests are sent at `rate` a second, as the quota of StartExecution wants it. Those that end in the gap wait for
    `timeout` seconds beyond its end.
    """
    async with Deployment(RESPONSE_TIMEOUT="300") as scene:
        await scene.add()
        cut_at = time.time() + pending / rate + 10
        back_at = cut_at + seconds
        rng = random.Random(1)
        requests = [Request(rng.uniform(cut_at + 0.2, back_at - 0.2)) for _ in range(ending)]
        requests += [Request(rng.uniform(back_at + 15, back_at + 45)) for _ in range(pending - ending)]
        rng.shuffle(requests)

        async def one(number: int, request: Request) -> None:
            wait = back_at + timeout + rng.uniform(0, 5) - time.time() if request.until < back_at else 300
            event = {"nome": str(number), "sobrenome": "x", "until": request.until}
            request.call = await scene.callers.post(event, Prefer=f"wait={int(wait)}")
            request.answered = time.time()

        async with asyncio.TaskGroup() as group:
            began = time.time()
            for number, request in enumerate(requests):
                group.create_task(one(number, request))
                await asyncio.sleep(max(0.0, began + number / rate - time.time()))
            await asyncio.sleep(cut_at - time.time())
            running, throttled = scene.aws.running, Counter(scene.aws.throttled)
            scene.link.refusing = True
            scene.link.reset()
            await asyncio.sleep(back_at - time.time())
            scene.link.calm()
        throttled = Counter(scene.aws.throttled) - throttled
        reads = dict(sorted(scene.aws.calls.items()))
        ends = [execution.stop_date or back_at for execution in scene.aws.executions.values()]
        missed = sum(cut_at <= end < back_at for end in ends)
        faults = await scene.check()
    return faults + _check_cut(requests, back_at, (running, missed), throttled, reads)


def _check_cut(
    requests: list[Request], back_at: float, counted: tuple[int, int], throttled: Counter[str], calls: dict[str, int]
) -> list[str]:
    running, missed = counted
    gone = [request for request in requests if request.until < back_at]
    others = [request for request in requests if request.until >= back_at]
    statuses = Counter(request.call.ending for request in gone if request.call)
    late = sorted(
        request.answered - back_at for request in gone if request.call is not None and request.call.status == 200
    )
    disturbed = sorted(request.answered - request.until for request in others)
    show(
        f"  {running} pending at the cut, {missed} of {len(gone)} ended in it: {dict(statuses)}; seconds from the "
        f"cut's end to the answer: {_quantiles(late)}; throttled {dict(throttled)}; calls {calls}"
    )
    other_statuses = Counter(request.call.ending for request in others if request.call)
    show(f"  the others: {dict(other_statuses)}, seconds from the workflow's end to it: {_quantiles(disturbed)}")
    faults = []
    if running != len(requests):
        faults.append(f"only {running} of {len(requests)} were pending at the cut: this machine is too slow")
    if missed != len(gone):
        faults.append(f"only {missed} of {len(gone)} ended in the cut: this machine is too slow")
    if set(other_statuses) != {"200"}:
        faults.append(f"the others were disturbed: {dict(other_statuses)}")
    if throttled.total() > 20:
        faults.append(f"throttled: {dict(throttled)}")
    # Two buckets, full at first: 300 + 15 a second and 400 + 20 a second.
    if len(gone) <= 500 and (statuses["200"] < len(gone) or late[-1] > 5):
        faults.append("not every one was answered within five seconds of the cut's end")
    if statuses["200"] < min(len(gone), 650):
        faults.append(f"the quotas allow more than {statuses['200']} answers")
    if set(statuses) - {"200", "202"}:
        faults.append(f"unexpected answers: {dict(statuses)}")
    return faults


def _quantiles(seconds: list[float]) -> str:
    if not seconds:
        return "none"
    return ", ".join(f"{share:.0%} {seconds[int(share * (len(seconds) - 1))]:.2f}" for share in (0.5, 0.99, 1.0))


async def rolling(rate: float, seconds: float) -> list[str]:
    """Replace two instances, one after the other, under a steady load."""
    async with Deployment() as scene:
        old = [await scene.add(), await scene.add()]
        watching = asyncio.create_task(scene.balancer.watch())
        slowest = [0.0]

        async def load() -> None:
            async with asyncio.TaskGroup() as group:
                began = time.time()
                for number in range(int(rate * seconds)):
                    event = {"nome": str(number), "sobrenome": "x", "wait": 1.0}
                    group.create_task(scene.callers.post(event))
                    await asyncio.sleep(max(0.0, began + number / rate - time.time()))
                    slowest[0] = max(slowest[0], time.time() - began - number / rate)

        loading = asyncio.create_task(load())
        await asyncio.sleep(seconds / 6)
        for instance in old:
            await scene.add()
            instance.ask()
            await instance.ended()
        replaced = not loading.done()
        await loading
        watching.cancel()
        faults = await scene.check()
        answers = Counter(call.ending for call in scene.callers.history)
        show(f"  {len(scene.callers.history)} requests at {rate:.0f} a second: {dict(answers)}")
        show(f"  the sender itself was at most {slowest[0]:.2f} s behind")
    if not replaced:
        faults.append("the load ended before both instances were replaced")
    if set(answers) - {"200", "202"}:
        faults.append(f"unexpected answers: {dict(answers)}")
    return faults


def main() -> int:
    """Run all, or those that are named; 0 if every promise held."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.acceptance", description=__doc__)
    parser.add_argument("--only", default="", help="those whose titles contain this")
    parser.add_argument("--pending", type=int, default=5000, help="requests that are pending at a cut (default: 5000)")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second (default: 200)")
    options = parser.parse_args()
    scenes: dict[str, Any] = {
        "cut: 500 end while the link is gone": lambda: cut(options.pending, 500, 20, options.rate, 2),
        "cut: 2000 end while the link is gone": lambda: cut(options.pending, 2000, 8, options.rate, 8),
        "rolling restart of two instances": lambda: rolling(options.rate, 30),
    }
    broken = 0
    for title, play in scenes.items():
        if options.only not in title:
            continue
        show(title)
        began = time.monotonic()
        faults = asyncio.run(play())
        show(f"  {'BROKEN' if faults else 'ok'}, {time.monotonic() - began:.0f} s")
        for fault in faults[:10]:
            show(f"    {fault}")
        broken += bool(faults)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

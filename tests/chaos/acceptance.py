"""The acceptance runs: `python -m tests.chaos.acceptance` tests the guarantees at full size and under AWS's quotas.

The link is cut while thousands of executions are pending, and two instances are replaced under load. Each run prints
what it measured, and fails if a limit is exceeded or a response contradicts the record.
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
from tests.chaos.stage import wait_until_ready, workflow
from tests.chaos.waits import MAX_BYTES, Client, Held, check_clients, follow_all, session
from tests.support.processes import settings_for


@dataclass(slots=True)
class Request:
    """One request of a measured run."""

    until: float
    """When its workflow has to end, in epoch seconds."""
    call: Call | None = None
    """What the caller got."""
    answered: float = 0.0
    """When the caller got it, in epoch seconds."""


class Deployment:
    """A local AWS with the quotas of AWS, a proxy in front of its WebSocket, and processes of the service."""

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
        """Start another process and add it to the load balancer once it is ready."""
        environment = settings_for(self.aws) | {"APPSYNC_REALTIME_URL": self.link.url} | self._environment
        process = ProcessInstance(self.aws.url, environment)
        self._stack.push_async_callback(process.stop)
        await process.start()
        await wait_until_ready(process.url)
        self.instances.append(process)
        self.balancer.targets.append(process.url)
        return process

    async def stop(self) -> list[str]:
        """Stop all instances; return what was wrong with them."""
        for instance in self.instances:
            await instance.stop()
        return [fault for instance in self.instances for fault in instance.faults]

    async def check(self) -> list[str]:
        """Resolve every Location without quotas, stop, and compare the history with the record."""
        self.quotas.clear()
        await self.callers.resolve()
        faults = await self.stop()
        records = {name: Record.read(execution) for name, execution in self.aws.executions.items()}
        return faults + check(self.callers.history, records, {"subscriptions": self.aws.subscriptions})


def show(line: str) -> None:
    """Print a line without buffering."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def cut(pending: int, ending: int, timeout: float, rate: float, seconds: float) -> list[str]:
    """Cut the link for `seconds` while `ending` of `pending` executions end.

    Requests are sent at `rate` per second, within the quota of StartExecution. Those that end during the cut wait for
    `timeout` seconds after it.
    """
    async with Deployment(RESPONSE_TIMEOUT="300") as deployment:
        await deployment.add()
        cut_at = time.time() + pending / rate + 10
        back_at = cut_at + seconds
        rng = random.Random(1)
        requests = [Request(rng.uniform(cut_at + 0.2, back_at - 0.2)) for _ in range(ending)]
        requests += [Request(rng.uniform(back_at + 15, back_at + 45)) for _ in range(pending - ending)]
        rng.shuffle(requests)

        async def send(number: int, request: Request) -> None:
            wait = back_at + timeout + rng.uniform(0, 5) - time.time() if request.until < back_at else 300
            event = {"nome": str(number), "sobrenome": "x", "until": request.until}
            request.call = await deployment.callers.post(event, Prefer=f"wait={int(wait)}")
            request.answered = time.time()

        async with asyncio.TaskGroup() as group:
            began = time.time()
            for number, request in enumerate(requests):
                group.create_task(send(number, request))
                await asyncio.sleep(max(0.0, began + number / rate - time.time()))
            await asyncio.sleep(cut_at - time.time())
            running, throttled = deployment.aws.running, Counter(deployment.aws.throttled)
            deployment.link.refusing = True
            deployment.link.reset()
            await asyncio.sleep(back_at - time.time())
            deployment.link.calm()
        throttled = Counter(deployment.aws.throttled) - throttled
        reads = dict(sorted(deployment.aws.calls.items()))
        ends = [execution.stop_date or back_at for execution in deployment.aws.executions.values()]
        ended_in_cut = sum(cut_at <= end < back_at for end in ends)
        faults = await deployment.check()
    return faults + _check_cut(requests, back_at, (running, ended_in_cut), throttled, reads)


def _check_cut(
    requests: list[Request], back_at: float, counted: tuple[int, int], throttled: Counter[str], calls: dict[str, int]
) -> list[str]:
    running, ended_in_cut = counted
    during_cut = [request for request in requests if request.until < back_at]
    afterwards = [request for request in requests if request.until >= back_at]
    statuses = Counter(request.call.ending for request in during_cut if request.call)
    recovery_delays = sorted(
        request.answered - back_at for request in during_cut if request.call is not None and request.call.status == 200
    )
    delays = sorted(request.answered - request.until for request in afterwards)
    show(
        f"  {running} pending at the cut, {ended_in_cut} of {len(during_cut)} ended during it: {dict(statuses)}; "
        f"seconds from the end of the cut to the response: {_quantiles(recovery_delays)}; "
        f"throttled {dict(throttled)}; calls {calls}"
    )
    later_statuses = Counter(request.call.ending for request in afterwards if request.call)
    show(f"  the others: {dict(later_statuses)}; seconds from the workflow's end to the response: {_quantiles(delays)}")
    faults = []
    if running != len(requests):
        faults.append(f"only {running} of {len(requests)} were pending at the cut: this machine is too slow")
    if ended_in_cut != len(during_cut):
        faults.append(f"only {ended_in_cut} of {len(during_cut)} ended during the cut: this machine is too slow")
    if set(later_statuses) != {"200"}:
        faults.append(f"requests that ended after the cut were affected: {dict(later_statuses)}")
    if throttled.total() > 20:
        faults.append(f"throttled API calls: {dict(throttled)}")
    # Two token buckets, full at first: 300 + 15 per second and 400 + 20 per second.
    if len(during_cut) <= 500 and (statuses["200"] < len(during_cut) or recovery_delays[-1] > 5):
        faults.append("some requests got no response within five seconds after the cut")
    if statuses["200"] < min(len(during_cut), 650):
        faults.append(f"the quotas allow more than {statuses['200']} responses")
    if set(statuses) - {"200", "202"}:
        faults.append(f"unexpected responses: {dict(statuses)}")
    return faults


def _quantiles(seconds: list[float]) -> str:
    if not seconds:
        return "none"
    return ", ".join(f"{share:.0%} {seconds[int(share * (len(seconds) - 1))]:.2f}" for share in (0.5, 0.99, 1.0))


async def rolling(rate: float, seconds: float) -> list[str]:
    """Replace two instances, one after the other, under a steady load."""
    async with Deployment() as deployment:
        old = [await deployment.add(), await deployment.add()]
        watching = asyncio.create_task(deployment.balancer.watch())
        sender_delay = [0.0]

        async def load() -> None:
            async with asyncio.TaskGroup() as group:
                began = time.time()
                for number in range(int(rate * seconds)):
                    event = {"nome": str(number), "sobrenome": "x", "wait": 1.0}
                    group.create_task(deployment.callers.post(event))
                    await asyncio.sleep(max(0.0, began + number / rate - time.time()))
                    sender_delay[0] = max(sender_delay[0], time.time() - began - number / rate)

        loading = asyncio.create_task(load())
        await asyncio.sleep(seconds / 6)
        for instance in old:
            await deployment.add()
            instance.terminate()
            await instance.wait_for_exit()
        replaced = not loading.done()
        await loading
        watching.cancel()
        faults = await deployment.check()
        responses = Counter(call.ending for call in deployment.callers.history)
        show(f"  {len(deployment.callers.history)} requests at {rate:.0f} per second: {dict(responses)}")
        show(f"  the sender was up to {sender_delay[0]:.2f} s behind schedule")
    if not replaced:
        faults.append("the load ended before both instances were replaced")
    if set(responses) - {"200", "202"}:
        faults.append(f"unexpected responses: {dict(responses)}")
    return faults


async def guesses(number: int, seconds: float) -> list[str]:
    """Read and stop this many made-up ids while honest callers are answered as usual."""
    async with Deployment() as deployment:
        await deployment.add()
        event = {"nome": "x", "sobrenome": "x", "wait": 0.0}
        made_up = [deployment.callers.make_up(method, number // 2, seconds) for method in ("GET", "DELETE")]
        flood = asyncio.gather(*made_up)
        while not flood.done():
            await deployment.callers.post(event)
        statuses = sum(await flood, Counter[int]())
        calls = dict(deployment.aws.calls)
        faults = await deployment.check()
    honest = deployment.callers.history
    show(
        f"  {dict(statuses)} for guesses; {Counter(call.ending for call in honest)} for honest callers, seconds: "
        f"{_quantiles(sorted(call.seconds for call in honest))}; calls {calls}"
    )
    if set(statuses) != {404} or set(calls) - {"StartExecution", "DescribeStateMachine"}:
        faults.append(f"guesses were more than refused: {dict(statuses)}, {calls}")
    if {call.ending for call in honest} != {"200"}:
        faults.append("honest callers were disturbed")
    return faults


async def rolling_streams(number: int, seconds: float) -> list[str]:
    """Replace two instances, one after the other, while streams are open: half by GET, half by POST with a key."""
    async with Deployment(STREAM_TIMEOUT="890", DRAIN_TIMEOUT="3") as deployment:
        old = [await deployment.add(), await deployment.add()]
        watching = asyncio.create_task(deployment.balancer.watch())
        until = time.time() + seconds
        clients = [
            Client({"nome": str(n), "sobrenome": "x", "until": until + n / number}, key=f"key-{n}" if n % 2 else None)
            for n in range(number)
        ]
        following = asyncio.create_task(follow_all(clients, deployment.balancer, 5))
        await asyncio.sleep(6)
        for instance in old:
            await deployment.add()
            instance.terminate()
            await instance.wait_for_exit(released_early=True)
        replaced = not following.done()
        await following
        watching.cancel()
        faults = check_clients(clients) + await deployment.stop()
        connections = Counter(client.connections for client in clients)
        executions = len(deployment.aws.executions)
        show(
            f"  {number} streams, {executions} executions; connections of a client: {dict(sorted(connections.items()))}"
        )
    if not replaced or set(connections) <= {1}:
        faults.append("no stream was open when the instances were replaced")
    if executions != number:
        faults.append(f"{executions} executions for {number} clients")
    return faults


async def long_waits(number: int, rate: float) -> list[str]:
    """Hold plain waits and streams in one process, half of each."""
    async with Deployment(RESPONSE_TIMEOUT="285", STREAM_TIMEOUT="890") as deployment, session(300) as http:
        instance = await deployment.add()
        until = time.time() + number / rate + 60
        held = Held(instance, until)
        await held.add(http, "warm-up", 100, rate)
        for kind in MAX_BYTES:
            await held.add(http, kind, (number - 100) // 2, rate)
        in_time = time.time() < until
        responses = await held.results()
        faults = await deployment.stop()
    sizes = {kind: held.bytes_per_wait[kind] for kind in MAX_BYTES}
    show(f"  {dict(responses)}; KiB per wait: { ({kind: round(size / 1024, 1) for kind, size in sizes.items()}) }")
    if not in_time:
        faults.append("they were not all in flight at once: this machine is too slow")
    if set(responses) != {"200 result"}:
        faults.append(f"unexpected responses: {dict(responses)}")
    return faults + [f"a {kind} takes {size:.0f} bytes" for kind, size in sizes.items() if size > MAX_BYTES[kind]]


def main() -> int:
    """Run all, or the selected ones; 0 if every guarantee held."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.acceptance", description=__doc__)
    parser.add_argument("--only", default="", help="only runs whose titles contain this text")
    parser.add_argument("--pending", type=int, default=5000, help="requests in flight at a cut (default: 5000)")
    parser.add_argument("--rate", type=float, default=200.0, help="requests per second (default: 200)")
    options = parser.parse_args()
    runs: dict[str, Any] = {
        "cut: 500 executions end while the link is down": lambda: cut(options.pending, 500, 20, options.rate, 2),
        "cut: 2000 executions end while the link is down": lambda: cut(options.pending, 2000, 8, options.rate, 8),
        "10,000 guesses of ids": lambda: guesses(10_000, 10),
        "rolling restart of two instances": lambda: rolling(options.rate, 30),
        "rolling restart under 200 streams": lambda: rolling_streams(200, 45),
        "5000 long waits in one process": lambda: long_waits(options.pending, options.rate),
    }
    failed = 0
    for title, play in runs.items():
        if options.only not in title:
            continue
        show(title)
        began = time.monotonic()
        faults = asyncio.run(play())
        show(f"  {'FAILED' if faults else 'ok'}, {time.monotonic() - began:.0f} s")
        for fault in faults[:10]:
            show(f"    {fault}")
        failed += bool(faults)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

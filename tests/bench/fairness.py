"""One caller beside another one with 10,000 requests: `python -m tests.bench.fairness`.

A modest caller sends ten requests a second, first alone. Then a greedy one fills its share of the requests in flight,
and keeps sending: each of these requests is refused. What the modest one waits beyond its workflows may at most double.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import sys
from collections import Counter
from typing import Final

from service.app import event_loop
from service.app.fd_limits import raise_open_files
from tests.bench.load import BODY, ID, Caller
from tests.bench.stand_in import StandIn
from tests.bench.subjects import SERVICE, Subject, running

REQUESTS: Final = 10_000
"""Requests of the greedy caller in each round; with MAX_IN_FLIGHT=10000, half of them are its share."""

RATE: Final = 10
"""Requests per second of the modest caller."""

FILLING_S: Final = 5.0
"""Seconds in which the greedy caller fills its share."""

MEASURED_S: Final = 15.0
"""Seconds of each measurement."""

WORKFLOW_S: Final = 0.05
HELD_WORKFLOW_S: Final = 28.0
"""Shorter than a wait for which the service reads the record, and long enough on a busy machine."""

SETTINGS: Final = {"CALLER_HEADER": "X-Caller", "MAX_IN_FLIGHT": str(REQUESTS), "RESPONSE_TIMEOUT": "29"}


class Sender:
    """Sends the requests of one caller, each on a connection that is not busy."""

    def __init__(self, name: str, port: int, durations: dict[str, float]) -> None:
        head = "POST /event HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Caller: {}\r\nContent-Length: {}"
        self._request = head.format(name, len(BODY)).encode() + b"\r\n\r\n" + BODY
        self._port = port
        self._durations = durations
        self._free: list[Caller] = []
        self._loop = asyncio.get_running_loop()
        self.statuses: Counter[str] = Counter()
        self.overheads: list[float] = []
        """Seconds that each response took beyond its workflow."""

    async def send(self, number: int, rate: float) -> None:
        """Send a number of requests at a rate, whatever becomes of earlier ones."""
        began = self._loop.time()
        for count in range(number):
            if (pause := began + count / rate - self._loop.time()) > 0:
                await asyncio.sleep(pause)
            if not self._free:
                await self._loop.create_connection(self._caller, "127.0.0.1", self._port)
            self._free.pop().send(self._loop.time())

    def _caller(self) -> Caller:
        caller = Caller(self._request, self._done, lambda _: None)
        self._free.append(caller)
        return caller

    def _done(self, caller: Caller, response: bytes) -> None:
        head, _, body = response.partition(b"\r\n\r\n")
        self.statuses[head[9:12].decode()] += 1
        workflow = self._durations.pop(body[ID].decode(), None)
        if workflow is not None:
            self.overheads.append(self._loop.time() - caller.due - workflow)
        self._free.append(caller)


class Bench:
    """The measurements, in seconds that responses took beyond their workflows."""

    def __init__(self, aws: StandIn, subject: Subject) -> None:
        self._aws = aws
        self._subject = subject
        self._modest = Sender("modest", subject.port, aws.durations)
        self._greedy = Sender("greedy", subject.port, aws.durations)
        self._cpu_s = {"alone": 0.0, "beside": 0.0}
        self._overheads: dict[str, list[float]] = {"alone": [], "beside": []}

    async def round(self) -> None:
        """Measure the modest caller alone, then beside the greedy one."""
        await self._measure("alone")
        self._aws.delay = HELD_WORKFLOW_S
        held = self._aws.starts + REQUESTS // 2
        await self._greedy.send(REQUESTS // 2, REQUESTS / 2 / FILLING_S)
        while self._aws.starts < held:  # noqa: ASYNC110 - no event marks the last start
            await asyncio.sleep(0.05)
        await asyncio.gather(self._measure("beside"), self._greedy.send(REQUESTS // 2, REQUESTS / 2 / MEASURED_S))
        await asyncio.sleep(HELD_WORKFLOW_S - MEASURED_S)  # until its share is free again

    async def _measure(self, title: str) -> None:
        self._aws.delay = WORKFLOW_S
        self._modest.overheads = self._overheads[title]
        cpu = self._subject.cpu()
        await self._modest.send(int(RATE * MEASURED_S), RATE)
        await asyncio.sleep(0.5)
        self._cpu_s[title] += self._subject.cpu() - cpu

    def report(self, rounds: int) -> float:
        """Print the results; return how many times as long the modest caller waits beside the greedy one, in 99 %."""
        p99 = {}
        for title, overheads in self._overheads.items():
            quantiles = statistics.quantiles(overheads, n=100)
            p99[title] = quantiles[98]
            show(
                f"{title}: {len(overheads)} responses, half within {quantiles[49] * 1e3:.2f} ms, 99 % within "
                f"{quantiles[98] * 1e3:.2f} ms; {self._cpu_s[title] / rounds / MEASURED_S:.1%} of a core"
            )
        show(f"statuses: modest {dict(self._modest.statuses)}, greedy {dict(self._greedy.statuses)}")
        return p99["beside"] / p99["alone"]


async def run(rounds: int) -> int:
    """Measure; 0 if the modest caller is hardly disturbed."""
    aws = StandIn()
    await aws.open()
    try:
        async with running(SERVICE, aws.environment() | SETTINGS, None) as subject:
            bench = Bench(aws, subject)
            for _ in range(rounds):
                await bench.round()
    finally:
        aws.close()
    ratio = bench.report(rounds)
    show(f"beside the greedy caller, the modest one waits {ratio:.2f} times as long in 99 % of its requests")
    return int(ratio > 2)


def show(line: str) -> None:
    """Print a line without buffering."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run it; 0 if the modest caller is hardly disturbed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fairness", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of about a minute (default: 3)")
    options = parser.parse_args()
    raise_open_files()
    gc.disable()  # collecting thousands of connections would stop this process for longer than what it measures
    return event_loop.run(run(options.rounds))


if __name__ == "__main__":
    sys.exit(main())

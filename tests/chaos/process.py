"""The service as a process of its own: it can be killed, frozen and replaced."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes import Process, running

STATUS_RELEASED_EARLY: Final = 3
"""The exit status that says that requests were released before they came to their own end."""


# Wherever the service or a library asks time.time, it gets a time that SIGUSR1 moves to and fro by a day.
JUMPING: Final = """
import random, signal, sys, time
real, moved = time.time, [0.0]
time.time = lambda: real() + moved[0]
signal.signal(signal.SIGUSR1, lambda *_: moved.__setitem__(0, random.choice([-86400.0, -30.0, 0.0, 30.0, 86400.0])))
from service.cli import main
sys.exit(main(["serve"]))
"""


class ProcessInstance:
    """One instance of the service. `faults` lists what its exit status and its log had to say against it."""

    def __init__(self, sfn_url: str, environment: Mapping[str, str], *, jumping: bool = False) -> None:
        self._command = ("-c", JUMPING) if jumping else ("-m", "service", "serve")
        self._environment = {
            **environment,
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "WARNING",
            "AWS_ENDPOINT_URL_SFN": sfn_url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
        self._stack = AsyncExitStack()
        self._process: Process
        self._gone = False
        self.url = ""
        self.faults: list[str] = []
        self.left_over: dict[str, int] = {}

    async def start(self) -> None:
        """Start it; nothing is waited for."""
        with socket.socket() as free:  # its log may be too quiet to tell which port it took
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment = self._environment | {"PORT": str(port)}
        self._process = await self._stack.enter_async_context(running(*self._command, env=environment))
        self.url = f"http://127.0.0.1:{port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process._process.pid

    async def metrics(self, http: aiohttp.ClientSession) -> dict[str, float]:
        """Read what it tells of itself, by metric."""
        async with http.get(f"{self.url}/metrics", timeout=aiohttp.ClientTimeout(total=10)) as response:
            families = text_string_to_metric_families(await response.text())
            return {sample.name: sample.value for family in families for sample in family.samples}

    async def counts(self) -> dict[str, int]:
        """Count its waiters now; none once it has ended."""
        if self._gone:
            return {"waiters": 0}
        async with aiohttp.ClientSession() as http:
            return {"waiters": int((await self.metrics(http))["sync_front_pending_executions"])}

    async def kill(self) -> None:
        """End it as a machine's failure does."""
        self._gone = True
        self._process.send(signal.SIGKILL)
        await self._process.wait()

    async def freeze(self, seconds: float) -> None:
        """Let it stand still for so long, as a machine does that is moved or swaps."""
        self._process.send(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        self._process.send(signal.SIGCONT)

    def jump(self) -> None:
        """Set its clock, if it was started with one that can be set."""
        self._process.send(signal.SIGUSR1)

    def ask(self) -> None:
        """Ask it to stop, once."""
        self._process.send(signal.SIGTERM)

    async def stop(self) -> None:
        """Ask it to stop and wait for its end, which has to be an orderly one."""
        if not self._gone:
            self.ask()
            await self.ended()
        await self._stack.aclose()

    async def ended(self, *, released_early: bool = False) -> None:
        """Wait for the end that it was requests for; `released_early` says that its status may tell of a quick one."""
        self._gone = True
        status = await self._process.wait(60)
        if status and not (released_early and status == STATUS_RELEASED_EARLY):
            self.faults.append(f"exit status {status}")
        self.faults += [f"logged: {line}" for line in self._process.logs if line["level"] in {"error", "critical"}]


class Balancer:
    """Chooses as a load balancer does: only instances that were ready when last requests, each in turn."""

    def __init__(self, period: float = 0.1) -> None:
        self._period = period
        self._ready: list[str] = []
        self._turn = 0
        self.targets: list[str] = []
        """The URLs that it may choose from."""

    def choose(self) -> str:
        """Give the next one that is ready; any if none is."""
        among = self._ready or self.targets
        self._turn += 1
        return among[self._turn % len(among)]

    async def watch(self) -> None:
        """Ask for readiness again and again, until cancelled."""
        timeout = aiohttp.ClientTimeout(total=1)
        async with aiohttp.ClientSession(timeout=timeout) as http:

            async def is_ready(url: str) -> bool:
                try:
                    async with http.get(f"{url}/readyz") as response:
                        return response.status == 200
                except (aiohttp.ClientError, TimeoutError):
                    return False

            while True:
                targets = list(self.targets)
                ready = await asyncio.gather(*map(is_ready, targets))
                self._ready = [url for url, up in zip(targets, ready, strict=True) if up]
                await asyncio.sleep(self._period)

"""An instance of the service as a process, which can be killed, frozen and replaced."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.support.outputs import broken
from tests.support.processes import Process, free_port, running

STATUS_RELEASED_EARLY: Final = 3
"""The exit status if requests were released before they were done."""

JUMPING_CLOCK: Final = """
import random, signal, sys, time
real, moved = time.time, [0.0]
time.time = lambda: real() + moved[0]
signal.signal(signal.SIGUSR1, lambda *_: moved.__setitem__(0, random.choice([-86400.0, -30.0, 0.0, 30.0, 86400.0])))
from service.__main__ import main
sys.argv = ["service", "serve"]
sys.exit(main())
"""
"""A start of the service in which SIGUSR1 moves time.time by up to a day, for libraries too."""


class ProcessInstance:
    """One instance of the service; `log` is what is wrong with its standard error, if anything."""

    def __init__(
        self, sfn_url: str, environment: Mapping[str, str], *, jumping: bool = False, log: str | None = None
    ) -> None:
        self._log = log
        self._command = ("-c", JUMPING_CLOCK) if jumping else ("-m", "service", "serve")
        self._environment = {
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "INFO" if log else "WARNING",
            "AWS_ENDPOINT_URL_SFN": sfn_url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            **environment,
        }
        self._stack = AsyncExitStack()
        self._process: Process
        self._exited = False
        self.url = ""
        self.faults: list[str] = []
        """An unexpected exit status, and errors in its log."""
        self.left_over: dict[str, int] = {}

    async def start(self) -> None:
        """Start it without waiting until it is ready."""
        port = free_port()  # its log may not say
        environment = self._environment | {"PORT": str(port)}
        stderr = self._stack.enter_context(broken(self._log)) if self._log else asyncio.subprocess.PIPE
        self._process = await self._stack.enter_async_context(running(*self._command, env=environment, stderr=stderr))
        self.url = f"http://127.0.0.1:{port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process._process.pid

    async def metrics(self, http: aiohttp.ClientSession) -> dict[str, float]:
        """Read its metrics, by name."""
        async with http.get(f"{self.url}/metrics", timeout=aiohttp.ClientTimeout(total=10)) as response:
            families = text_string_to_metric_families(await response.text())
            return {sample.name: sample.value for family in families for sample in family.samples}

    async def counts(self) -> dict[str, int]:
        """Return how many waiters it has; none once it has ended."""
        if self._exited:
            return {"waiters": 0}
        async with aiohttp.ClientSession() as http:
            return {"waiters": int((await self.metrics(http))["sync_front_pending_executions"])}

    async def kill(self) -> None:
        """Kill it, as the failure of a machine would."""
        self._exited = True
        self._process.send(signal.SIGKILL)
        await self._process.wait()

    async def freeze(self, seconds: float) -> None:
        """Suspend it for this time, as when a machine migrates or swaps."""
        self._process.send(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        self._process.send(signal.SIGCONT)

    def jump(self) -> None:
        """Move its clock, if it was started with `jumping`."""
        self._process.send(signal.SIGUSR1)

    def terminate(self) -> None:
        """Send it one SIGTERM."""
        self._process.send(signal.SIGTERM)

    async def stop(self) -> None:
        """Terminate it and check that it stops gracefully."""
        if not self._exited:
            self.terminate()
            await self.wait_for_exit()
        await self._stack.aclose()

    async def wait_for_exit(self, *, released_early: bool = False) -> None:
        """Wait for its exit after a SIGTERM; with `released_early` its status may say that requests were released."""
        self._exited = True
        status = await self._process.wait(60)
        if status and not (released_early and status == STATUS_RELEASED_EARLY):
            self.faults.append(f"exit status {status}")
        self.faults += [f"logged: {line}" for line in self._process.logs if line["level"] in {"error", "critical"}]


class Balancer:
    """A round-robin load balancer over the instances that passed their last readiness check."""

    def __init__(self, check_interval_s: float = 0.1) -> None:
        self._check_interval_s = check_interval_s
        self._ready: list[str] = []
        self._next = 0
        self.targets: list[str] = []
        """The URLs of all instances."""

    def choose(self) -> str:
        """Return the next instance that is ready, or any if none is ready."""
        candidates = self._ready or self.targets
        self._next += 1
        return candidates[self._next % len(candidates)]

    async def watch(self) -> None:
        """Check readiness periodically until cancelled."""
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
                await asyncio.sleep(self._check_interval_s)

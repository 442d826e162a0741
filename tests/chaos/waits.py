"""Acceptance runs of long waits: thousands in one process, and a rolling restart under streams."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.chaos.history import problem_type
from tests.chaos.process import Balancer, ProcessInstance

STREAM: Final = {"Accept": "text/event-stream"}
MAX_BYTES: Final = {"plain": 18 * 1024, "stream": 26 * 1024}
"""A tenth above the goals of docs/performance.md, since 2,500 waits measure less exactly than 10,000."""


@dataclass(slots=True)
class Client:
    """A client of one execution that follows it by streams, as an EventSource does, until it has the result."""

    event: dict[str, Any]
    key: str | None = None
    """The idempotency key of its POST; None for a client that starts asynchronously and then follows by GET."""
    location: str | None = None
    connections: int = 0
    ending: str = ""
    """`result`, or what went wrong."""
    result: dict[str, Any] = field(default_factory=dict)

    async def follow(self, http: aiohttp.ClientSession, choose: Callable[[], str]) -> None:
        """Open one stream after another until the result, a problem, or a refusal."""
        try:
            if self.key is None:
                await self._start(http, choose())
            while not self.ending:  # noqa: ASYNC110 - the pause is the one that the stream asks for
                await asyncio.sleep(await self._listen(http, choose()))
        except (aiohttp.ClientError, TimeoutError) as error:
            self.ending = f"broken: {type(error).__name__}"

    async def _start(self, http: aiohttp.ClientSession, url: str) -> None:
        async with http.post(f"{url}/event", json=self.event, headers={"Prefer": "respond-async"}) as response:
            self.location = response.headers.get("Location")
            if response.status != 202:
                self.ending = f"start: {response.status}"

    async def _listen(self, http: aiohttp.ClientSession, url: str) -> float:
        """Follow one stream to its end; return the seconds until the next one."""
        self.connections += 1
        if self.location is None:
            sent = http.post(f"{url}/event", json=self.event, headers=STREAM | {"Idempotency-Key": self.key or ""})
        else:
            sent = http.get(url + self.location, headers=STREAM)
        retry, name = 1.0, ""
        async with sent as response:
            if response.status != 200:
                self.ending = f"stream: {problem_type(await response.json(content_type=None))}"
                return 0.0
            async for line in response.content:
                key, _, value = line.decode().rstrip("\n").partition(": ")
                if key == "retry":
                    retry = int(value) / 1000
                elif key == "event":
                    name = value
                elif key == "data":
                    self._note(name, json.loads(value))
        return retry

    def _note(self, name: str, data: dict[str, Any]) -> None:
        if name == "running":
            self.location = data["location"]
        elif name in {"result", "problem"}:
            self.ending = name if name == "result" else f"problem: {data['type']}"
            self.result = data


@asynccontextmanager
async def session(silence: float = 30) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a client without a limit on connections; `silence` is how many seconds a response may be silent."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=silence)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as http:
        yield http


async def follow_all(clients: list[Client], balancer: Balancer, seconds: float) -> None:
    """Let all clients follow their executions; they begin within so many seconds."""
    async with session() as http, asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(client.follow(http, balancer.choose))
            await asyncio.sleep(seconds / len(clients))


def check_clients(clients: list[Client]) -> list[str]:
    """Return what is wrong with what the clients got: each has to end with its own result."""
    endings = Counter(client.ending for client in clients)
    wrong = [c for c in clients if c.ending == "result" and c.result["nome completo"] != f"{c.event['nome']} x"]
    faults = [f"unexpected ends of streams: {dict(endings)}"] if set(endings) != {"result"} else []
    return [*faults, *(f"the result of another request: {client.result}" for client in wrong)]


def resident_bytes(instance: ProcessInstance) -> int:
    """Return the resident memory of a process."""
    status = Path(f"/proc/{instance.pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


class Held:
    """Waits that one process holds, plain ones and streams, and the memory that each kind takes."""

    def __init__(self, instance: ProcessInstance, until: float) -> None:
        self._instance = instance
        self._until = until
        self._tasks: list[asyncio.Task[tuple[int, str]]] = []
        self.bytes_per_wait: dict[str, float] = {}

    async def add(self, http: aiohttp.ClientSession, kind: str, number: int, rate: float) -> None:
        """Begin so many waits at a rate; note the memory that each took once all are in flight."""
        before, began = resident_bytes(self._instance), time.time()
        headers = STREAM if kind == "stream" else {"Prefer": "wait=285"}
        for sent in range(number):
            self._tasks.append(asyncio.create_task(self._wait(http, headers)))
            await asyncio.sleep(max(0.0, began + sent / rate - time.time()))
        while time.time() < self._until and await self._in_flight(http) < len(self._tasks):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        self.bytes_per_wait[kind] = (resident_bytes(self._instance) - before) / number

    async def _in_flight(self, http: aiohttp.ClientSession) -> float:
        return (await self._instance.metrics(http))["sync_front_requests_in_flight"]

    async def _wait(self, http: aiohttp.ClientSession, headers: dict[str, str]) -> tuple[int, str]:
        event = {"nome": "a", "sobrenome": "x", "until": self._until}
        async with http.post(f"{self._instance.url}/event", json=event, headers=headers) as response:
            return response.status, await response.text()

    async def results(self) -> Counter[str]:
        """Wait for all responses; return how many there are of each kind."""
        answers = await asyncio.gather(*self._tasks)
        return Counter(f"{status} {'result' if 'nome completo' in text else text[:100]}" for status, text in answers)

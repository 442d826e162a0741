"""The processes under test, each alone on its core, and their CPU time and memory."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

from service.app.settings import DEMO_SCHEMA
from tests.bench.load import CALLER_HEADER
from tests.bench.stand_in import ARN

LOGS: Final = Path("build/bench")
# A process under test must not see the machine's own settings.
_CLEAN: Final = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "APPSYNC_"))}
_SERVICE: Final = {
    "HOST": "127.0.0.1",
    "PORT": "0",
    "LOG_FORMAT": "json",
    "RESPONSE_TIMEOUT": "300",
    "MAX_IN_FLIGHT": "12000",
    "CALLER_HEADER": CALLER_HEADER,
    "ID_SECRETS": "a secret for the benchmark,the one before it",
}


@dataclass(frozen=True, slots=True)
class Design:
    """A program that serves POST /event, and how to start it. It logs `started` with its port."""

    name: str
    title: str
    arguments: tuple[str, ...]
    reports_ready: bool = False
    """Whether its `/readyz` says when it is ready; the others are ready when they have started."""
    folder: Path | None = None
    """Where it runs, if it is another revision of the project."""
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Settings of its own."""
    python: str = sys.executable


_SCHEMA: Final = orjson.loads(Path(DEMO_SCHEMA).read_bytes())
_EVENT_WORKFLOW: Final = orjson.dumps(
    {"event": {"state_machine_arn": ARN, "input": "event", "request_schema": _SCHEMA}}
).decode()

SERVICE: Final = Design("service", "sync-front", ("-m", "service", "serve"), reports_ready=True)
WITHOUT_TELEMETRY: Final = Design(
    "without-telemetry",
    "sync-front, no telemetry",
    ("-m", "tests.bench.without_telemetry", "serve"),
    reports_ready=True,
)
BARE: Final = Design("bare", "bare skeleton", ("-m", "tests.bench.designs", "bare"))
AIOBOTO3: Final = Design("aioboto3", "skeleton with aioboto3", ("-m", "tests.bench.designs", "aioboto3"))
SOCKET_EACH: Final = Design("socket-each", "a WebSocket per request", ("-m", "tests.bench.designs", "socket-each"))
LEANEST: Final = Design("leanest", "the leanest skeleton", ("-m", "tests.bench.leanest"))
EVENT_MODE: Final = replace(
    SERVICE, name="event-mode", title="sync-front, event mode", environment={"WORKFLOWS": _EVENT_WORKFLOW}
)
DESIGNS: Final = (SERVICE, WITHOUT_TELEMETRY, LEANEST, BARE, AIOBOTO3, SOCKET_EACH)


class Subject:
    """A running process."""

    def __init__(self, pid: int, port: int) -> None:
        self._pid = pid
        self.port = port

    def cpu(self) -> float:
        """Return its CPU time so far, in seconds, including the kernel's on its behalf."""
        # The clock of clock_getcpuclockid(3), which counts nanoseconds; /proc counts ticks of 10 ms.
        return time.clock_gettime((~self._pid << 3) | 2)

    def rss(self) -> int:
        """Return its resident memory in bytes."""
        pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize()


@asynccontextmanager
async def running(design: Design, environment: Mapping[str, str], core: int | None) -> AsyncIterator[Subject]:
    """Run a design, pinned to `core` if that is given; yield it when it is ready."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{design.name}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            design.python,
            *design.arguments,
            cwd=design.folder,
            env={**_CLEAN, **_SERVICE, **environment, **design.environment},
            stderr=output,
        )
    try:
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        port = await _port(design, log, process)
        if design.reports_ready:
            await _ready(design, port)
        yield Subject(process.pid, port)
    finally:
        # The shutdown is not measured.
        if process.returncode is None:
            process.kill()
        await process.wait()
        log.unlink()


async def _port(design: Design, log: Path, process: asyncio.subprocess.Process) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.returncode is None:
        for line in _lines(log):
            if line["event"] == "started":
                return int(line["port"])
        await asyncio.sleep(0.05)
    raise RuntimeError(f"{design.title} did not start; its log: {_lines(log)}")


async def _ready(design: Design, port: int) -> None:
    async with aiohttp.ClientSession() as http:
        for _ in range(600):
            async with http.get(f"http://127.0.0.1:{port}/readyz") as response:
                if response.status == 200:
                    return
            await asyncio.sleep(0.05)
    raise RuntimeError(f"{design.title} did not become ready")


def _lines(log: Path) -> list[dict[str, Any]]:
    text = log.read_bytes()
    return [orjson.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines() if line.startswith(b"{")]

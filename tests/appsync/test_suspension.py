"""A process that is suspended for a while, as by a debugger, a snapshot or an overcommitted host."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from .scripted_server import Notifier, acknowledge_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .scripted_server import ScriptedServer

SILENCE_TIMEOUT_S = 3.0  # the silence timeout of the connections in these tests
SUSPENSION_S = 5.0  # how long the process is suspended


class LinkProcess:
    """The process and the lines that it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._notifier = Notifier()

    async def read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.lines.append(line.decode().strip())
            self._notifier.notify()

    async def until(self, line: str, times: int = 1) -> None:
        await self._notifier.until(lambda: sum(one.startswith(line) for one in self.lines) >= times, timeout=20)


@pytest.fixture
async def link_process(server: ScriptedServer) -> AsyncIterator[LinkProcess]:
    server.on["connection_init"] = acknowledge_for(int(SILENCE_TIMEOUT_S * 1000))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.appsync.link_process", server.url, stdout=asyncio.subprocess.PIPE
    )
    link_process = LinkProcess(process)
    reading = asyncio.create_task(link_process.read())
    await link_process.until("subscription_confirmed")
    yield link_process
    process.kill()
    await process.wait()
    await reading


async def suspend(server: ScriptedServer, link_process: LinkProcess, *, publishing: bool) -> None:
    link_process.process.send_signal(signal.SIGSTOP)
    for number in range(10):
        await asyncio.sleep(SUSPENSION_S / 10)  # these tests are about time
        if publishing:
            await server.peer.data("/default/*", str(number))
    link_process.process.send_signal(signal.SIGCONT)


async def test_events_that_arrived_during_a_suspension_are_delivered_and_the_link_stays_up(
    server: ScriptedServer, link_process: LinkProcess
) -> None:
    await suspend(server, link_process, publishing=True)
    await link_process.until("event 9")
    await server.peer.data("/default/*", '"afterwards"')
    await link_process.until('event "afterwards"')
    events = [line for line in link_process.lines if line.startswith("event")]
    assert events == [*(f"event {number}" for number in range(10)), 'event "afterwards"']
    assert len(server.peers) == 1


async def test_a_link_that_died_during_a_suspension_is_noticed_immediately(
    server: ScriptedServer, link_process: LinkProcess
) -> None:
    await suspend(server, link_process, publishing=False)
    async with asyncio.timeout(SILENCE_TIMEOUT_S):  # the timeout does not start again
        await link_process.until(f"down nothing received for {SILENCE_TIMEOUT_S:g} s")
    await link_process.until("subscription_confirmed", times=2)
    await server.peer.data("/default/*", "1")
    await link_process.until("event 1")

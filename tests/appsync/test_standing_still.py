"""A process that is stopped for a while, as by a debugger, a snapshot or an overcommitted host."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from .scripted_server import Bell, acknowledge_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .scripted_server import ScriptedServer

SILENCE = 3.0  # seconds that the connections of these tests may be silent
STOPPED = 5.0  # seconds that the process stands still


class Bystander:
    """The process, and the lines that it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._bell = Bell()

    async def read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.lines.append(line.decode().strip())
            self._bell.ring()

    async def until(self, line: str, times: int = 1) -> None:
        await self._bell.until(lambda: sum(one.startswith(line) for one in self.lines) >= times, timeout=20)


@pytest.fixture
async def bystander(server: ScriptedServer) -> AsyncIterator[Bystander]:
    server.on["connection_init"] = acknowledge_for(int(SILENCE * 1000))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.appsync.bystander", server.url, stdout=asyncio.subprocess.PIPE
    )
    bystander = Bystander(process)
    reading = asyncio.create_task(bystander.read())
    await bystander.until("subscription_confirmed")
    yield bystander
    process.kill()
    await process.wait()
    await reading


async def stand_still(server: ScriptedServer, bystander: Bystander, *, speaking: bool) -> None:
    bystander.process.send_signal(signal.SIGSTOP)
    for number in range(10):
        await asyncio.sleep(STOPPED / 10)  # time itself is what these tests are about
        if speaking:
            await server.peer.data("/default/*", str(number))
    bystander.process.send_signal(signal.SIGCONT)


async def test_events_that_arrived_during_a_suspension_are_delivered_and_the_link_stays_up(
    server: ScriptedServer, bystander: Bystander
) -> None:
    await stand_still(server, bystander, speaking=True)
    await bystander.until("event 9")
    await server.peer.data("/default/*", '"afterwards"')
    await bystander.until('event "afterwards"')
    events = [line for line in bystander.lines if line.startswith("event")]
    assert events == [*(f"event {number}" for number in range(10)), 'event "afterwards"']
    assert len(server.peers) == 1


async def test_a_link_that_died_during_a_suspension_is_noticed_immediately(
    server: ScriptedServer, bystander: Bystander
) -> None:
    await stand_still(server, bystander, speaking=False)
    async with asyncio.timeout(SILENCE):  # no new patience is begun
        await bystander.until(f"down nothing received for {SILENCE:g} s")
    await bystander.until("subscription_confirmed", times=2)
    await server.peer.data("/default/*", "1")
    await bystander.until("event 1")

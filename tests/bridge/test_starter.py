from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from service.bridge import starter
from service.bridge.starter import Start, Starter
from service.errors import LinkDown
from service.stepfunctions.records import Started
from tests.support.outcomes import success
from tests.support.stage import Channel, stage


async def test_nothing_is_started_while_the_link_has_never_been_up() -> None:
    async with stage() as made:
        made.channel.ever_live = False
        made.channel.go_down()
        with pytest.raises(LinkDown):
            await made.submit("{}", 10)
        assert made.endpoint.calls == []
        made.assert_nothing_in_flight()


async def test_a_request_in_a_short_gap_waits_for_the_link() -> None:
    async with stage() as made:
        made.channel.go_down()
        submitted = asyncio.create_task(made.submit("{}", 10))
        await asyncio.sleep(0)
        assert made.endpoint.calls == []
        made.channel.come_up()
        made.reply(await made.started(), 1)
        assert (await submitted).outcome == success(1)


async def test_a_gap_that_does_not_end_refuses_requests_after_the_grace_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter, "LINK_GRACE_S", 0.05)
    async with stage() as made:
        made.channel.go_down()
        with pytest.raises(LinkDown):
            await made.submit("{}", 10)
        assert made.endpoint.calls == []


async def test_a_long_outage_refuses_requests_at_once() -> None:
    async with stage() as made:
        made.channel.go_down(since=60)
        async with asyncio.timeout(1):
            with pytest.raises(LinkDown):
                await made.submit("{}", 10)


async def test_a_start_that_gets_its_slot_in_a_short_gap_waits_for_the_link() -> None:
    async with stage(max_starts=1) as made:
        gate, first, execution_id, second = await made.one_started_and_one_waiting()
        made.channel.go_down()
        gate.set()
        made.reply(execution_id, 1)
        assert (await first).outcome == success(1)  # its slot is free, so the second one gets it
        assert made.endpoint.count("StartExecution") == 1
        made.channel.come_up()
        made.reply(await made.started(2), 2)
        assert (await second).outcome == success(2)
        made.assert_nothing_in_flight()


async def test_waiting_for_a_second_slot_takes_only_the_remaining_time() -> None:
    channel = Channel()
    timeouts: list[float] = []

    class CrowdedClient:
        @asynccontextmanager
        async def start_slot(self, timeout: float, _caller: str | None) -> AsyncIterator[float]:
            timeouts.append(timeout)
            if len(timeouts) == 1:
                await asyncio.sleep(0.2)  # until a slot is free
                channel.go_down()
                asyncio.get_running_loop().call_later(0.1, channel.come_up)
            yield asyncio.get_running_loop().time() + timeout

        async def start(self, *_: str, **__: Any) -> Started:
            return Started(1000.0, 1)

    client: Any = CrowdedClient()
    start = Start("exec-1", "{}")
    await Starter(client, channel).run(start, 10)
    assert timeouts[1] < timeouts[0] - 0.25
    assert (start.done, start.started_at) == (True, 1000.0)
    assert start.input == ""  # the input of a request that waits takes no memory


async def test_a_start_that_gets_its_slot_in_a_gap_that_does_not_end_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starter, "LINK_GRACE_S", 0.05)
    async with stage(max_starts=1) as made:
        gate, first, execution_id, second = await made.one_started_and_one_waiting()
        made.channel.go_down()
        gate.set()
        with pytest.raises(LinkDown):
            await second
        made.reply(execution_id)
        await first
        assert made.endpoint.count("StartExecution") == 1


@pytest.mark.parametrize(("since", "waits"), [(0.0, [2.0]), (1.5, [0.5]), (2.1, [])])
async def test_requests_wait_for_the_link_until_two_seconds_after_its_loss(since: float, waits: list[float]) -> None:
    seen: list[float] = []

    class Gap(Channel):
        async def wait_live(self, timeout: float) -> bool:
            seen.append(timeout)
            return False

    client: Any = None
    channel = Gap()
    channel.go_down(since)
    with pytest.raises(LinkDown):
        await Starter(client, channel).run(Start("exec-1", "{}"), 10)
    assert seen == pytest.approx(waits, abs=0.2)

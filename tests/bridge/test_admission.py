from __future__ import annotations

import asyncio
import gc
from contextlib import suppress

import pytest

from service.bridge.admission import Admission
from service.bridge.share import Share
from service.errors import (
    AtCapacity,
    CallerShareExceeded,
    Draining,
)
from tests.support.outcomes import success
from tests.support.stage import stage
from tests.support.step_functions import (
    STARTED,
    described,
    gated,
    ok,
)
from tests.support.within import within


async def test_a_request_over_the_limit_is_refused_until_another_one_ends() -> None:
    async with stage(max_in_flight=1) as made:
        first = asyncio.create_task(made.submit("{}", 10))
        execution_id = await made.started()
        with pytest.raises(AtCapacity):
            await made.submit("{}", 10)
        made.reply(execution_id)
        await first
        second = asyncio.create_task(made.submit("{}", 10))
        made.reply(await made.started(2))
        await second
        made.assert_nothing_in_flight()


async def test_one_caller_at_its_share_is_refused_and_another_one_is_not() -> None:
    async with stage(max_in_flight=4, caller_limit=2) as made:
        greedy = [asyncio.create_task(made.submit("{}", 10, caller="alice")) for _ in range(2)]
        started = [await made.started(number) for number in (1, 2)]
        with pytest.raises(CallerShareExceeded, match="Each caller may have 2 requests in flight"):
            await made.submit("{}", 10, caller="alice")
        other = asyncio.create_task(made.submit("{}", 10, caller="bob"))
        started.append(await made.started(3))
        for execution_id in started:
            made.reply(execution_id)
        await asyncio.gather(*greedy, other)
        made.assert_nothing_in_flight()


async def test_the_start_of_one_caller_does_not_wait_for_all_those_of_another_one() -> None:
    async with stage(max_starts=1) as made:
        gate = asyncio.Event()
        made.endpoint.script("StartExecution", gated(gate, STARTED))
        greedy = [asyncio.create_task(made.submit("1", 10, caller="alice")) for _ in range(4)]
        await made.started()
        modest = asyncio.create_task(made.submit("2", 10, caller="bob"))
        await asyncio.sleep(0)
        gate.set()
        started = [await made.started(number) for number in range(1, 6)]
        for execution_id in started:
            made.reply(execution_id)
        await asyncio.gather(*greedy, modest)
        assert started.index((await modest).execution_id) <= 2


async def test_a_refusal_leaves_nothing_to_the_garbage_collector() -> None:
    async with stage(max_in_flight=0) as made:
        gc.collect()
        gc.disable()
        try:
            for _ in range(100):
                with suppress(AtCapacity):
                    await made.submit("{}", 10)
            assert gc.collect() < 100
        finally:
            gc.enable()


async def test_a_caller_at_its_share_can_still_read_what_it_started_without_waiting() -> None:
    async with stage(caller_limit=1) as made:
        made.endpoint.script("DescribeExecution", described("RUNNING"))
        submitted = asyncio.create_task(made.submit("{}", 10, caller="alice"))
        execution_id = await made.started()
        async with within(2):
            assert (await made.bridge.follow(execution_id, 10, caller="alice")).outcome is None
        made.reply(execution_id)
        await submitted


async def test_without_callers_the_share_does_not_apply() -> None:
    share = Share(Admission(3, 1))
    with share.request(None), share.request(None):
        assert share.admits(None)


async def test_the_execution_of_a_caller_that_left_counts_for_it_until_it_is_settled() -> None:
    async with stage(caller_limit=1, stop_abandoned=True) as made:
        gate = asyncio.Event()
        made.endpoint.script("StopExecution", gated(gate, ok(stopDate=1.0)))
        submitted = asyncio.create_task(made.submit("{}", 10, caller="alice"))
        await made.started()
        submitted.cancel()
        await made.endpoint.arrived("StopExecution")
        with pytest.raises(CallerShareExceeded):
            await made.submit("{}", 10, caller="alice")
        gate.set()


async def test_a_drain_refuses_new_requests_and_waits_for_those_in_flight() -> None:
    async with stage() as made:
        submitted = asyncio.create_task(made.submit("{}", 10))
        execution_id = await made.started()
        draining = asyncio.create_task(made.bridges.drain(10))
        await asyncio.sleep(0)
        assert made.admission.draining
        with pytest.raises(Draining):
            await made.submit("{}", 10)
        assert not draining.done()
        made.reply(execution_id, 1)
        assert (await submitted).outcome == success(1)
        await draining


async def test_a_drain_releases_requests_that_outlast_its_timeout() -> None:
    async with stage() as made:
        submitted = asyncio.create_task(made.submit("{}", 10))
        await made.started()
        await made.bridges.drain(0.05)
        assert (await submitted).outcome is None
        made.assert_nothing_in_flight()


@pytest.mark.parametrize("delay", [0, 10])
async def test_a_release_ends_a_drain_at_once_even_if_a_record_is_still_being_read(delay: float) -> None:
    async with stage() as made:
        made.endpoint.script("DescribeExecution", gated(asyncio.Event(), STARTED))
        reading = asyncio.create_task(made.bridge.follow("exec-1", 20))
        await made.endpoint.arrived("DescribeExecution")
        draining = asyncio.create_task(made.bridges.drain(20, delay))
        await asyncio.sleep(0)
        made.bridges.release()
        async with within(2):
            await draining
        reading.cancel()
        await asyncio.wait([reading])


async def test_requests_are_accepted_during_the_delay_of_a_drain_and_not_after_it() -> None:
    async with stage() as made:
        draining = asyncio.create_task(made.bridges.drain(20, delay=0.2))
        await asyncio.sleep(0)
        submitted = asyncio.create_task(made.submit("{}", 10))
        execution_id = await made.started()
        await asyncio.wait([draining], timeout=0.3)
        with pytest.raises(Draining):
            await made.submit("{}", 10)
        made.reply(execution_id, 1)
        assert (await submitted).outcome == success(1)
        async with within(2):
            await draining


async def test_requests_admitted_before_the_drain_are_served_even_if_not_started_yet() -> None:
    async with stage(max_starts=1) as made:
        gate = asyncio.Event()
        made.endpoint.script("StartExecution", gated(gate, STARTED))
        submitted = [asyncio.create_task(made.submit("{}", 20)) for _ in range(2)]
        first = await made.started()
        made.channel.go_down()
        submitted.append(asyncio.create_task(made.submit("{}", 20)))
        await asyncio.sleep(0)
        draining = asyncio.create_task(made.bridges.drain(20))
        await asyncio.sleep(0)
        made.channel.come_up()
        gate.set()
        made.reply(first, 1)
        for number in (2, 3):
            made.reply(await made.started(number), number)
        assert sorted([(await task).outcome for task in submitted], key=str) == [
            success(1),
            success(2),
            success(3),
        ]
        await draining
        made.assert_nothing_in_flight()

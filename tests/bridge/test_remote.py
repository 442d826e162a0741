from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from structlog.testing import capture_logs

from service.bridge import remote
from service.stepfunctions.outcomes import Aborted
from tests.support.outcomes import success
from tests.support.shared_execution import EXISTS, ID, input_of, submit, subscribed, until
from tests.support.stage import stage
from tests.support.step_functions import described
from tests.support.within import within


async def test_the_reply_of_another_instances_execution_comes_on_its_own_channel() -> None:
    async with stage() as made:
        made.endpoint.script("StartExecution", EXISTS)
        made.endpoint.script("DescribeExecution", described("RUNNING", input=input_of()))
        posts = [submit(made) for _ in range(5)]
        channel = await subscribed(made)
        channel.come_up()
        await made.endpoint.arrived("DescribeExecution", 2)
        made.reply(ID, 1)
        assert {answer.outcome for answer in await asyncio.gather(*posts)} == {success(1)}
        await until(lambda: channel.ended)
        assert len(made.subscribed) == 1
        assert len(made.remote) == 0


async def test_an_end_between_the_read_and_the_subscription_is_not_missed() -> None:
    async with stage() as made:
        made.endpoint.script("StartExecution", EXISTS)
        made.endpoint.script(
            "DescribeExecution",
            described("RUNNING", input=input_of()),
            described("SUCCEEDED", input=input_of(), output="1"),
        )
        post = submit(made)
        (await subscribed(made)).come_up()
        async with within(5):
            assert (await post).outcome == success(1)


async def test_a_reply_before_the_subscription_with_an_end_after_it_is_not_missed() -> None:
    """A workflow publishes its reply before it ends, and the record shows the end even later."""
    async with stage() as made:
        made.endpoint.script("StartExecution", EXISTS)
        made.endpoint.script(
            "DescribeExecution",
            described("RUNNING", input=input_of()),
            described("RUNNING", input=input_of()),
            described("SUCCEEDED", input=input_of(), output="1"),
        )
        post = submit(made, wait=60)
        (await subscribed(made)).come_up()
        async with within(10):
            assert (await post).outcome == success(1)


async def test_the_record_is_read_if_the_channel_is_refused() -> None:
    async with stage() as made:
        made.endpoint.script("StartExecution", EXISTS)
        made.endpoint.script(
            "DescribeExecution",
            described("RUNNING", input=input_of()),
            described("RUNNING", input=input_of()),
            described("SUCCEEDED", input=input_of(), output="1"),
        )
        post = submit(made)
        channel = await subscribed(made)
        with capture_logs() as logs:
            channel.refuse()
            async with within(8):  # polled every two seconds
                assert (await post).outcome == success(1)
        assert ("execution_polled", ID) in [(line["event"], line.get("execution_id")) for line in logs]
        await until(lambda: channel.ended)


async def test_a_channel_is_kept_until_the_last_of_its_waiting_requests_has_left() -> None:
    async with stage() as made:
        made.endpoint.script("DescribeExecution", described("RUNNING", input=input_of()))
        first, second = (asyncio.create_task(made.bridge.follow(ID, 20)) for _ in range(2))
        channel = await subscribed(made)
        channel.come_up()
        await made.endpoint.arrived("DescribeExecution", 2)
        await until(lambda: made.remote._subscriptions[ID].users == 2)
        first.cancel()
        await asyncio.wait([first])
        await asyncio.sleep(0.05)
        assert not channel.ended
        second.cancel()
        await until(lambda: channel.ended)


async def test_above_the_limit_of_channels_the_record_is_polled_until_one_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote, "MAX_REMOTE_EXECUTIONS", 1)
    others = [f"{ID[:-1]}{n}" for n in range(2)]
    async with stage() as made:
        with made.remote.listening(ID, f"ns/other/{ID}"):
            await subscribed(made)
            with made.remote.listening(others[0], f"ns/other/{others[0]}"):
                await until(lambda: made.recovery._polled)
                assert list(made.subscribed) == [f"ns/other/{ID}"]
        await until(lambda: not made.recovery._polled)
        with made.remote.listening(others[1], f"ns/other/{others[1]}"):
            await subscribed(made, f"ns/other/{others[1]}")
            assert not made.recovery._polled


@pytest.mark.parametrize(
    "channel", [f"elsewhere/other/{ID}", "ns/other/exec-1", "ns", "", f"ns/*/{ID}", f"ns/a/b/{ID}"]
)
async def test_a_foreign_channel_is_never_subscribed(channel: str) -> None:
    async with stage() as made:
        made.endpoint.script(
            "DescribeExecution",
            described("RUNNING", input=input_of(channel=channel)),
            described("SUCCEEDED", input=input_of(), output="1"),
        )
        async with within(5):
            assert (await made.bridge.follow(ID, 20)).outcome == success(1)
        assert made.subscribed == {}


async def test_exactly_fifty_channels_are_subscribed_at_once() -> None:
    ids = [f"exec-{n:08x}-10bf-46ea-bf94-1edf5c10947a" for n in range(51)]
    async with stage() as made, AsyncExitStack() as stack:
        for id_ in ids:
            stack.enter_context(made.remote.listening(id_, f"ns/other/{id_}"))
            await asyncio.sleep(0)
        await until(lambda: made.recovery._polled)
        assert list(made.subscribed) == [f"ns/other/{id_}" for id_ in ids[:50]]
        assert set(made.recovery._polled) == {ids[50]}


async def test_the_relays_channel_is_subscribed_too_if_this_instance_does_not_hear_the_shard() -> None:
    other = ID.replace("exec-11e", "exec-22e")
    ended, reply = f"ns/ended/22e/{other}", f"ns/other/{other}"
    async with stage() as made:
        with made.remote.listening(other, reply):
            channels = [await subscribed(made, channel) for channel in (reply, ended)]
            made.endpoint.script("DescribeExecution", described("RUNNING", input=input_of()))
            with made.replies.expect(other, record=made.record) as waiter:
                channels[0].come_up()
                assert made.endpoint.count("DescribeExecution") == 0
                channels[1].come_up()  # only now can no end be missed
                await made.endpoint.arrived("DescribeExecution")
                made.replies.deliver(f'{{"id": "{other}", "status": "ABORTED"}}')
                assert await waiter == Aborted()
        await until(lambda: all(channel.ended for channel in channels))


async def test_ids_from_keys_and_those_of_the_own_shard_are_heard_anyway() -> None:
    async with stage() as made:
        for id_ in (ID, ID.replace("exec-11e", "exec-000")):
            with made.remote.listening(id_, made.remote.own_channel(id_)):
                assert made.subscribed == {}
        assert made.remote.own_channels == ["ns/me/*", "ns/ended/11e/*", "ns/ended/000/*"]

from __future__ import annotations

import asyncio

import pytest

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
        channel.refuse()
        async with within(8):  # polled every two seconds
            assert (await post).outcome == success(1)
        await until(lambda: channel.ended)


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

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from service.bridge.reply_channel import ReplyChannel
from service.bridge.reply_channels import ReplyChannels
from tests.support.stage import Channel


def made(*, live: bool = True) -> tuple[ReplyChannels, list[Channel], list[bool]]:
    members: list[Channel] = []
    changes: list[bool] = []

    def subscribe(channel: str, on_change: Callable[[ReplyChannel], None]) -> Channel:
        assert channel in "ab"
        members.append(Channel(on_change, live=live))
        return members[-1]

    group = ReplyChannels(subscribe, ["a", "b"], lambda group: changes.append(group.live))
    return group, members, changes


async def test_the_group_is_live_while_all_are() -> None:
    group, members, changes = made(live=False)
    assert (group.live, group.ever_live, changes) == (False, False, [])
    members[0].come_up()
    assert (group.live, changes) == (False, [])
    members[1].come_up()
    assert (group.live, group.ever_live, group.down_since, changes) == (True, True, None, [True])


async def test_a_group_of_live_subscriptions_reports_once() -> None:
    group, _, changes = made()
    assert (group.live, changes) == (True, [True])


async def test_the_first_loss_counts() -> None:
    group, members, changes = made()
    for since, member in zip((1.0, 5.0), members, strict=True):
        member.go_down(since)
        member._on_change(member)
    assert changes == [True, False]
    assert group.down_since is not None
    assert time.monotonic() - group.down_since >= 5
    members[0].come_up()
    members[1].come_up()
    assert changes == [True, False, True]


async def test_the_wait_is_for_all() -> None:
    group, members, _ = made(live=False)
    assert not await group.wait_live(0.01)
    waiting = asyncio.create_task(group.wait_live(10))
    members[1].come_up()
    await asyncio.sleep(0)
    assert not waiting.done()
    members[0].come_up()
    assert await waiting


async def test_one_refusal_is_an_answer() -> None:
    group, members, _ = made(live=False)
    members[0].come_up()
    members[1].refuse()
    assert not await group.wait_answered(10)
    await group.unsubscribe()
    assert all(member.ended for member in members)

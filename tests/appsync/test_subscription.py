"""Several independent subscriptions on one link."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from service.appsync import LinkEventKind, Subscription

from .scripted_server import abort, confirm, first, ignore, refuse, respond

if TYPE_CHECKING:
    from .conftest import Changes, Inbox, LinkFactory
    from .scripted_server import Message, Peer, ScriptedServer

FULL = refuse("subscribe_error", "MaxSubscriptionsReachedError")


class StateLog(list[tuple[str, bool, bool]]):
    """An `on_change` that records the state of its subscriptions at each call: channel, live, refused."""

    def __call__(self, subscription: Subscription) -> None:
        self.append((subscription.channel, subscription.live, subscription.refused is not None))


async def test_each_loss_and_each_return_is_reported_per_subscription_in_sequence(
    server: ScriptedServer, make_link: LinkFactory
) -> None:
    states = StateLog()
    link = make_link()
    one, two = (link.subscribe(f"/default/{name}", print, states) for name in ("1", "2"))
    assert await one.wait_live(10)
    assert await two.wait_live(10)
    await abort(server.peer, {})
    await server.subscribed(2)
    assert await one.wait_live(10)
    assert await two.wait_live(10)
    await two.unsubscribe()
    await link.close()
    up = [("/default/1", True, False), ("/default/2", True, False)]
    down = [("/default/1", False, False), ("/default/2", False, False)]
    assert states == [*up, *down, *up]


async def test_on_change_is_called_after_the_link_event(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    calls: list[tuple[bool, int]] = []

    def on_change(subscription: Subscription) -> None:
        calls.append((subscription.live, len(changes.of(LinkEventKind.SUBSCRIPTION_CONFIRMED))))

    assert await make_link().subscribe("/default/*", print, on_change).wait_live(10)
    assert calls == [(True, 1)]


async def test_an_on_change_that_raises_does_no_harm(
    server: ScriptedServer, make_link: LinkFactory, inbox: Inbox, changes: Changes
) -> None:
    def on_change(subscription: Subscription) -> None:
        raise RuntimeError("names the secret")

    link = make_link()
    bad = link.subscribe("/default/bad", inbox, on_change)
    assert await bad.wait_live(10)
    await abort(server.peer, {})
    await server.subscribed(2)
    assert await bad.wait_live(10)
    await server.peer.data("/default/bad", "1")
    await inbox.until("1")
    (fault,) = changes.of(LinkEventKind.HANDLER_ERROR)
    assert (fault.error_type, fault.channel) == ("RuntimeError", "/default/bad")
    assert "secret" not in repr(fault)


async def test_a_refusal_for_the_limit_is_reported_immediately_and_affects_no_other_subscription(
    server: ScriptedServer, make_link: LinkFactory, inbox: Inbox
) -> None:
    states = StateLog()
    link = make_link()
    kept = link.subscribe("/default/kept", inbox)
    assert await kept.wait_live(10)
    server.on["subscribe"] = FULL
    extra = link.subscribe("/default/extra", print, states)
    async with asyncio.timeout(10):
        assert not await extra.wait_answered(60)
    assert extra.refused is not None
    assert extra.refused.error_type == "MaxSubscriptionsReachedError"
    assert states[0] == ("/default/extra", False, True)
    assert (kept.live, link.connected, len(server.peers)) == (True, True, 1)
    await server.peer.data("/default/kept", "1")
    await inbox.until("1")


async def test_a_subscription_refused_for_the_limit_goes_live_once_another_has_ended(
    server: ScriptedServer, make_link: LinkFactory, inbox: Inbox
) -> None:
    async def one_at_a_time(peer: Peer, message: Message) -> None:
        await (FULL if peer.subscriptions else confirm)(peer, message)

    server.on["subscribe"] = one_at_a_time
    link = make_link()
    leaves = link.subscribe("/default/1", print)
    assert await leaves.wait_live(10)
    waits = link.subscribe("/default/2", inbox)
    assert not await waits.wait_answered(10)
    await leaves.unsubscribe()
    assert await waits.wait_live(10)
    assert waits.refused is None
    assert await waits.wait_answered(0)


async def test_a_live_subscription_that_the_service_ends_is_lost_refused_and_retried(
    server: ScriptedServer, make_link: LinkFactory
) -> None:
    states = StateLog()
    subscription = make_link().subscribe("/default/*", print, states)
    assert await subscription.wait_live(10)
    (id_,) = server.peer.subscriptions
    await respond({"type": "subscribe_error", "errors": [{"errorType": "LimitExceededError"}]})(
        server.peer, {"id": id_}
    )
    await server.wait_for("subscribe", times=2)
    assert await subscription.wait_live(10)
    assert [state[1:] for state in states] == [(True, False), (False, False), (False, True), (True, False)]


@pytest.mark.parametrize("end", ["time", "owner", "live"])
async def test_wait_answered_ends_with_the_timeout_the_subscription_or_the_response(
    server: ScriptedServer, make_link: LinkFactory, end: str
) -> None:
    server.on["subscribe"] = ignore
    subscription = make_link().subscribe("/default/*", print)
    (request,) = await server.wait_for("subscribe")
    if end == "time":
        assert not await subscription.wait_answered(0.05)
    else:
        waiting = asyncio.create_task(subscription.wait_answered(60))
        await asyncio.sleep(0)
        if end == "live":
            await confirm(server.peer, request)
        else:
            subscription.end()
        async with asyncio.timeout(10):
            assert await waiting is (end == "live")
    assert len(subscription._answer_waiters) == 0


async def test_a_link_adds_and_ends_dozens_of_subscriptions_at_a_time(
    server: ScriptedServer, make_link: LinkFactory, inbox: Inbox
) -> None:
    link = make_link()
    own = link.subscribe("/default/own/*", inbox)
    assert await own.wait_live(10)
    for _ in range(5):
        many = [link.subscribe(f"/default/other/{number}", print) for number in range(50)]
        async with asyncio.timeout(10):
            assert all(await asyncio.gather(*(one.wait_answered(10) for one in many)))
            assert len(server.peer.subscriptions) == 51
            await asyncio.gather(*(one.unsubscribe() for one in many))
        assert list(server.peer.subscriptions.values()) == ["/default/own/*"]
    assert own.live
    assert len(server.peers) == 1
    assert len(link._subscriptions) == 1
    await server.peer.data("/default/own/*", "1")
    await inbox.until("1")


async def test_an_unanswered_subscription_does_not_delay_others(server: ScriptedServer, make_link: LinkFactory) -> None:
    link = make_link()
    assert await link.subscribe("/default/1", print).wait_live(10)
    server.on["subscribe"] = first(ignore, then=confirm)
    silent, other = link.subscribe("/default/2", print), link.subscribe("/default/3", print)
    async with asyncio.timeout(8):  # less than the timeout of a response
        assert await other.wait_live(8)
    assert (silent.live, silent.refused) == (False, None)
    assert not await silent.wait_answered(0.01)

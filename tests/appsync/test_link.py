from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from service.appsync import ApiKey, ChannelError, Link, LinkClosedError, LinkEventKind, Subscription, Timeouts

from .conftest import KEY, TIMEOUTS, remains
from .scripted_server import acknowledge, confirm, ignore

if TYPE_CHECKING:
    from .conftest import Changes, Inbox, LinkFactory
    from .scripted_server import Message, Peer, ScriptedServer


async def test_an_event_reaches_the_handler_as_its_json_text(
    server: ScriptedServer, make_link: LinkFactory, inbox: Inbox
) -> None:
    subscription = make_link().subscribe("default/*", inbox)
    assert await subscription.wait_live(10)
    await server.peer.data("/default/*", '{"a":1}')
    await inbox.until('{"a":1}')


async def test_an_array_of_events_is_delivered_one_by_one(
    server: ScriptedServer, make_link: LinkFactory, inbox: Inbox
) -> None:
    subscription = make_link().subscribe("/default/*", inbox)
    assert await subscription.wait_live(10)
    await server.peer.data("/default/*", ["1", "2", "3"])
    await inbox.until("1", "2", "3")


async def test_an_event_of_240_kilobytes_is_delivered(
    server: ScriptedServer, make_link: LinkFactory, inbox: Inbox
) -> None:
    subscription = make_link().subscribe("/default/*", inbox)
    assert await subscription.wait_live(10)
    event = '"' + "ü" * 120_000 + '"'  # as \u escapes in the frame: three times the size
    await server.peer.data("/default/*", event)
    await inbox.until(event)


async def test_the_handshake_sends_host_and_key_and_selects_the_protocol(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    make_link()
    await changes.until(LinkEventKind.UP)
    assert server.peer.authorization == {"host": "127.0.0.1:4566", "x-api-key": KEY}
    assert server.peer.websocket.subprotocol == "aws-appsync-event-ws"
    assert server.peer.websocket.request is not None
    assert server.peer.websocket.request.path == "/event/realtime"
    assert "Sec-WebSocket-Extensions" not in server.peer.websocket.request.headers


async def test_each_subscribe_message_is_authorised(server: ScriptedServer, make_link: LinkFactory) -> None:
    make_link().subscribe("/default/a", print)
    (message,) = await server.wait_for("subscribe")
    assert message["channel"] == "/default/a"
    assert message["authorization"] == {"host": "127.0.0.1:4566", "x-api-key": KEY}


async def test_a_subscription_goes_live_whether_made_before_or_after_the_connection(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    link = make_link()
    before = link.subscribe("/default/before", print)
    assert (link.connected, before.live) == (False, False)
    assert await before.wait_live(10)
    assert (link.connected, before.live) == (True, True)
    after = link.subscribe("/default/after", print)
    assert await after.wait_live(10)
    assert [event.channel for event in changes.of(LinkEventKind.SUBSCRIPTION_CONFIRMED)] == [
        "/default/before",
        "/default/after",
    ]
    assert len(server.peers) == 1


async def test_a_subscription_is_not_live_before_the_service_confirms_it(
    server: ScriptedServer, make_link: LinkFactory
) -> None:
    allowed = asyncio.Event()

    async def confirm_later(peer: Peer, message: Message) -> None:
        await allowed.wait()
        await confirm(peer, message)

    server.on["subscribe"] = confirm_later
    made = time.monotonic()
    subscription = make_link().subscribe("/default/*", print)
    await server.wait_for("subscribe")
    assert not await subscription.wait_live(0.05)
    assert (subscription.live, subscription.ever_live) == (False, False)
    assert made <= (subscription.down_since or 0) <= time.monotonic()
    allowed.set()
    assert await subscription.wait_live(10)
    assert (subscription.live, subscription.ever_live, subscription.down_since) == (True, True, None)


async def test_an_event_before_the_success_message_is_delivered(
    server: ScriptedServer, make_link: LinkFactory, inbox: Inbox
) -> None:
    async def data_first(peer: Peer, message: Message) -> None:
        await peer.send({"type": "data", "id": message["id"], "event": "1"})
        await confirm(peer, message)

    server.on["subscribe"] = data_first
    subscription = make_link().subscribe("/default/*", inbox)
    assert await subscription.wait_live(10)
    assert inbox == ["1"]


async def test_waiters_leave_nothing_behind_whether_they_succeed_or_give_up(
    server: ScriptedServer, make_link: LinkFactory
) -> None:
    server.on["subscribe"] = ignore
    subscription = make_link().subscribe("/default/*", print)
    await server.wait_for("subscribe")
    assert await asyncio.gather(*(subscription.wait_live(0.01) for _ in range(100))) == [False] * 100
    waiting = asyncio.create_task(subscription.wait_live(60))
    given_up = asyncio.create_task(subscription.wait_live(60))
    await asyncio.sleep(0)
    given_up.cancel()
    server.on["subscribe"] = confirm
    await confirm(server.peer, server.peer.received[-1])
    assert await waiting
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert len(subscription._live_waiters) == 0


async def test_unsubscribe_waits_for_the_service_and_stops_delivery(
    server: ScriptedServer, make_link: LinkFactory, inbox: Inbox
) -> None:
    link = make_link()
    subscription = link.subscribe("/default/*", inbox)
    other = link.subscribe("/default/other", inbox)
    assert await subscription.wait_live(10)
    assert await other.wait_live(10)
    (id_,) = (id_ for id_, channel in server.peer.subscriptions.items() if channel == "/default/*")
    await subscription.unsubscribe()
    assert list(server.peer.subscriptions.values()) == ["/default/other"]
    assert not subscription.live
    assert subscription.down_since is not None
    assert not await subscription.wait_live(60)
    await server.peer.send({"type": "data", "id": id_, "event": '"late"'})
    await server.peer.data("/default/other", "1")
    await inbox.until("1")
    assert link.unknown_ids == 1
    await subscription.unsubscribe()
    assert len(server.all("unsubscribe")) == 1


async def test_a_subscription_ended_before_its_success_message_is_unsubscribed_after_it(
    server: ScriptedServer, make_link: LinkFactory, inbox: Inbox, changes: Changes
) -> None:
    server.on["subscribe"] = ignore
    subscription = make_link().subscribe("/default/*", inbox)
    (request,) = await server.wait_for("subscribe")
    unsubscribing = asyncio.create_task(subscription.unsubscribe())
    await asyncio.sleep(0)
    await server.peer.send({"type": "data", "id": request["id"], "event": "1"})
    assert server.all("unsubscribe") == []
    await confirm(server.peer, request)
    await server.wait_for("unsubscribe")
    await unsubscribing
    assert server.peer.subscriptions == {}
    assert inbox == []
    assert not subscription.ever_live
    assert changes.of(LinkEventKind.SUBSCRIPTION_CONFIRMED) == []


async def test_unsubscribe_gives_up_if_the_service_does_not_respond(
    server: ScriptedServer, make_link: LinkFactory
) -> None:
    server.on["unsubscribe"] = ignore
    link = make_link(timeouts=Timeouts(connect=10, ack=10, subscribe=0.5, close=1))
    subscription = link.subscribe("/default/*", print)
    kept = link.subscribe("/default/kept", print)
    assert await subscription.wait_live(10)
    await subscription.unsubscribe()
    assert link.connected
    assert kept.live


async def test_a_subscription_that_was_never_sent_can_be_ended(server: ScriptedServer) -> None:
    link = Link(server.url, ApiKey("http://127.0.0.1/event", KEY))
    subscription = link.subscribe("/default/*", print)
    await subscription.unsubscribe()
    assert not await subscription.wait_live(60)
    await link.close()


@pytest.mark.parametrize("channel", ["", "/", "/*", "/default/*/x", "/a_b", "/a/b/c/d/e/f"])
async def test_an_invalid_channel_raises_immediately(make_link: LinkFactory, channel: str) -> None:
    with pytest.raises(ChannelError):
        make_link().subscribe(channel, print)


@pytest.mark.parametrize("url", ["http://127.0.0.1/event/realtime", "ws:///event", "nonsense"])
async def test_a_url_that_is_not_a_websocket_is_invalid(url: str) -> None:
    with pytest.raises(ValueError, match="ws://"):
        Link(url, ApiKey("http://127.0.0.1/event", KEY))


async def test_closing_unsubscribes_sends_a_close_frame_and_leaves_nothing(
    server: ScriptedServer, make_link: LinkFactory
) -> None:
    link = make_link()
    subscription = link.subscribe("/default/*", print)
    waiting = asyncio.create_task(link.subscribe("/default/two", print).wait_live(60))
    assert await subscription.wait_live(10)
    await link.close()
    await waiting
    peer = server.peer
    await server.until(lambda: peer.closed)
    assert peer.subscriptions == {}
    assert peer.websocket.close_code == 1000
    assert not subscription.live
    assert not link.connected
    assert not await subscription.wait_live(60)
    assert remains() == []
    await link.close()
    with pytest.raises(LinkClosedError):
        link.open()
    with pytest.raises(LinkClosedError):
        link.subscribe("/default/*", print)


async def test_closing_takes_a_bounded_time_if_the_service_does_not_respond(
    server: ScriptedServer, make_link: LinkFactory
) -> None:
    server.on["unsubscribe"] = ignore
    link = make_link(timeouts=Timeouts(connect=10, ack=10, subscribe=10, close=0.2))
    assert await link.subscribe("/default/*", print).wait_live(10)
    server.peer.websocket.transport.pause_reading()
    started = time.monotonic()
    await link.close()
    assert time.monotonic() - started < 5
    assert remains() == []


async def test_closing_wakes_tasks_that_wait_for_a_subscription(server: ScriptedServer, make_link: LinkFactory) -> None:
    server.on["subscribe"] = ignore
    link = make_link(timeouts=Timeouts(connect=10, ack=10, subscribe=10, close=0.1))
    subscription = link.subscribe("/default/*", print)
    await server.wait_for("subscribe")
    waiting = asyncio.create_task(subscription.wait_live(60))
    await asyncio.sleep(0)
    await link.close()
    assert not await waiting


@pytest.mark.parametrize("step", ["connection_init", "subscribe"])
async def test_closing_while_connecting_leaves_nothing(
    server: ScriptedServer, make_link: LinkFactory, step: str
) -> None:
    server.on[step] = ignore
    link = make_link(timeouts=Timeouts(connect=10, ack=10, subscribe=10, close=0.1))
    link.subscribe("/default/*", print)
    await server.wait_for(step)
    await link.close()
    assert remains() == []
    await server.until(lambda: server.peer.closed)


async def test_a_link_can_be_closed_early_and_twice_concurrently(
    server: ScriptedServer, make_link: LinkFactory
) -> None:
    await make_link().close()
    link = make_link()
    assert await link.subscribe("/default/*", print).wait_live(10)
    await asyncio.gather(link.close(), link.close())
    assert remains() == []


async def test_a_close_that_is_cancelled_still_ends_the_link(server: ScriptedServer, make_link: LinkFactory) -> None:
    server.on["unsubscribe"] = ignore
    link = make_link()
    assert await link.subscribe("/default/*", print).wait_live(10)
    closing = asyncio.create_task(link.close())
    await server.wait_for("unsubscribe")
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await server.until(lambda: server.peer.closed)
    await link.close()
    assert remains() == []


async def test_the_link_is_a_context_manager_and_opens_once(server: ScriptedServer) -> None:
    async with Link(server.url, ApiKey("http://127.0.0.1/event", KEY), timeouts=TIMEOUTS) as link:
        link.open()
        assert await link.subscribe("/default/*", print).wait_live(10)
        assert repr(link) == f"Link({urlsplit(server.url).netloc!r}, connected=True)"
    assert len(server.peers) == 1
    assert remains() == []


async def test_two_subscriptions_to_one_channel_both_receive_each_event(
    server: ScriptedServer, make_link: LinkFactory, inbox: Inbox
) -> None:
    link = make_link()
    one: list[str] = []
    assert await link.subscribe("/default/*", one.append).wait_live(10)
    assert await link.subscribe("/default/*", inbox).wait_live(10)
    await server.peer.data("/default/*", "1")
    await inbox.until("1")
    assert one == ["1"]


async def test_the_repr_of_a_subscription_has_channel_and_state(server: ScriptedServer, make_link: LinkFactory) -> None:
    subscription: Subscription = make_link().subscribe("/default/*", print)
    assert repr(subscription) == "Subscription('/default/*', live=False)"


async def test_frames_are_counted(server: ScriptedServer, make_link: LinkFactory, inbox: Inbox) -> None:
    link = make_link()
    assert await link.subscribe("/default/*", inbox).wait_live(10)
    await acknowledge(server.peer, {})  # a repetition, which changes nothing
    await server.peer.send({"type": "ka"})
    await server.peer.send({"type": "brand_new"})
    await server.peer.data("/default/*", "1")
    await inbox.until("1")
    assert (link.frames_received, link.unknown_types, link.malformed_frames, link.reconnects) == (6, 1, 0, 0)

"""Connections and sessions without a link."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from service.appsync import ApiKey, ConnectionLostError, LinkEventKind, Subscription
from service.appsync.connection import Connection, Route
from service.appsync.protocol import Counters, ProtocolEvent
from service.appsync.session import Session

from .conftest import KEY, SHORT_BACKOFF, TIMEOUTS, Changes, Inbox, remains
from .scripted_server import acknowledge, respond

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from .scripted_server import Message, Peer, ScriptedServer

AUTHORIZER = ApiKey("http://127.0.0.1/event", KEY)


async def connect(server: ScriptedServer, on_event: Callable[[ProtocolEvent], None]) -> Connection:
    route = Route(server.url, tls=None, proxy=None)
    return await Connection.open(route, AUTHORIZER, on_event, timeouts=TIMEOUTS, counters=Counters())


@asynccontextmanager
async def running_session(
    server: ScriptedServer, subscriptions: dict[Subscription, None], changes: Changes
) -> AsyncIterator[Session]:
    session = Session(subscriptions.keys(), AUTHORIZER, changes, TIMEOUTS, SHORT_BACKOFF)
    connection = await connect(server, session.handle)
    task = asyncio.create_task(session.run(connection))
    yield session
    task.cancel()
    await asyncio.wait([task])
    await connection.close()


async def test_two_sessions_can_serve_one_subscription_during_a_renewal(
    server: ScriptedServer, changes: Changes, inbox: Inbox
) -> None:
    subscriptions: dict[Subscription, None] = {}
    subscription = Subscription("/default/*", inbox, None, subscriptions.pop, 10)
    subscriptions[subscription] = None
    async with running_session(server, subscriptions, changes) as new:
        async with running_session(server, subscriptions, changes):
            await changes.until(LinkEventKind.SUBSCRIPTION_CONFIRMED, times=2)
            for peer in server.peers:
                await peer.data("/default/*", "1")
            await inbox.until("1", "1")
            assert subscription._requested == 2
        assert subscription.live
        assert subscription.down_since is None
        await server.peers[0].data("/default/*", "2")
        await inbox.until("1", "1", "2")
        unsubscribing = asyncio.create_task(subscription.unsubscribe())
        await asyncio.sleep(0)
        new.wake()
        await unsubscribing
        assert subscription._requested == 0
    assert remains() == []


async def test_unsubscribe_waits_for_every_session_of_the_subscription(
    server: ScriptedServer, changes: Changes
) -> None:
    subscriptions: dict[Subscription, None] = {}
    subscription = Subscription("/default/*", print, None, subscriptions.pop, 10)
    subscriptions[subscription] = None
    async with (
        running_session(server, subscriptions, changes) as one,
        running_session(server, subscriptions, changes) as two,
    ):
        await changes.until(LinkEventKind.SUBSCRIPTION_CONFIRMED, times=2)
        unsubscribing = asyncio.create_task(subscription.unsubscribe())
        await asyncio.sleep(0)
        one.wake()
        await server.wait_for("unsubscribe")
        assert not unsubscribing.done()
        two.wake()
        await unsubscribing
    assert len(server.all("unsubscribe")) == 2


async def test_sending_on_an_ended_connection_does_not_raise_but_receive_does(server: ScriptedServer) -> None:
    connection = await connect(server, print)
    await server.peer.websocket.close(1001)
    await connection.send(b"{}")
    with pytest.raises(ConnectionLostError) as caught:
        await connection.receive(print)
    assert (caught.value.reason, caught.value.close_code) == ("closed by the peer", 1001)
    await connection.close()
    assert remains() == []


async def test_other_messages_may_arrive_before_the_acknowledgement(server: ScriptedServer) -> None:
    async def ack_late(peer: Peer, message: Message) -> None:
        await respond({"type": "ka"})(peer, message)
        await acknowledge(peer, message)

    server.on["connection_init"] = ack_late
    connection = await connect(server, print)
    assert connection.protocol.counters.frames == 2
    await connection.close()


async def test_a_writer_that_fails_ends_the_connection(server: ScriptedServer, changes: Changes) -> None:
    class Broken(dict[Subscription, None]):
        def __iter__(self) -> None:  # type: ignore[override]  # broken on purpose
            raise LookupError("names a secret")

    session = Session(Broken(), AUTHORIZER, changes, TIMEOUTS, SHORT_BACKOFF)
    connection = await connect(server, session.handle)
    with pytest.raises(ConnectionLostError, match="subscribing ended by LookupError"):
        await session.run(connection)
    await connection.close()
    assert remains() == []

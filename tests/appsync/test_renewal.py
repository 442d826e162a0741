"""Renewals: a new connection replaces the old one without lost or duplicate events."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from service.appsync import (
    ApiKey,
    Backoff,
    Link,
    LinkEventKind,
    Publisher,
    Renewal,
    Subscription,
    Timeouts,
    deduplication,
    renewal,
)
from service.appsync.deduplication import Deduplicator
from service.appsync.renewal import Renewer
from service.local import LocalAws

from .conftest import KEY, SHORT_BACKOFF, SHORT_TIMEOUTS, TIMEOUTS, remains
from .scripted_server import Notifier, abort, acknowledge, acknowledge_for, close, confirm, first, ignore, refuse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .conftest import Changes, Inbox, LinkFactory
    from .scripted_server import Message, Peer, ScriptedServer, Step


def early_renewal(*, after: float = 0.1, overlap: float = 0.2, takeover: float = 10) -> Renewal:
    return Renewal(earliest=after, latest=after, takeover=takeover, overlap=overlap, backoff=SHORT_BACKOFF)


async def test_the_new_connection_is_subscribed_before_the_old_one_is_closed(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, inbox: Inbox
) -> None:
    live_states: list[bool] = []
    allowed = asyncio.Event()

    async def confirm_when_allowed(peer: Peer, message: Message) -> None:
        if peer is not server.peers[0]:
            await allowed.wait()
        await confirm(peer, message)

    server.on["subscribe"] = confirm_when_allowed
    link = make_link(renewal=early_renewal())
    subscription = link.subscribe("/default/*", inbox, lambda subscription: live_states.append(subscription.live))
    assert await subscription.wait_live(10)
    await server.wait_for("subscribe", times=2)
    old, new = server.peers
    await old.data("/default/*", "1")
    await inbox.until("1")
    assert not old.closed
    allowed.set()
    await changes.until(LinkEventKind.RENEWED)
    await server.until(lambda: old.closed)
    assert (old.websocket.close_code, new.closed) == (1000, False)
    await new.data("/default/*", "2")
    await inbox.until("1", "2")
    assert (live_states, subscription.down_since, link.reconnects, link.connected) == ([True], None, 0, True)
    assert changes.of(LinkEventKind.DOWN) == []


async def test_both_connections_deliver_for_a_while_and_each_event_is_delivered_once(
    server: ScriptedServer, make_link: LinkFactory, inbox: Inbox
) -> None:
    link = make_link(renewal=early_renewal(overlap=30))
    assert await link.subscribe("/default/*", inbox).wait_live(10)
    other: list[str] = []
    link.subscribe("/default/*", other.append)
    await server.until(lambda: len(server.peers) == 2 and len(server.peer.subscriptions) == 2)
    old, new = server.peers
    for peer in (old, new):
        await peer.data("/default/*", ["1", "2"])
    await inbox.until("1", "2")
    await new.data("/default/*", "3")
    await inbox.until("1", "2", "3")
    await old.data("/default/*", "3")
    await old.data("/default/*", "only on the old one")
    await inbox.until("1", "2", "3", "only on the old one")
    for peer in (old, new):
        await peer.data("/default/*", ["same", "same"])  # published twice
        await peer.data("/default/*", "end")
    await inbox.until("1", "2", "3", "only on the old one", "same", "same", "end")
    assert other == inbox


def count(pairs: str) -> int:
    """Return how often one text is delivered that arrives on these connections: o is the old one, n the new one."""
    seen = Deduplicator()
    subscription = Subscription("/default/*", print, None, print, 1)
    return sum(not (seen.is_copy_on_old if side == "o" else seen.is_copy_on_new)(subscription, "e") for side in pairs)


@pytest.mark.parametrize(
    ("arrivals", "delivered"),
    [("on", 1), ("no", 1), ("o", 1), ("n", 1), ("oonn", 2), ("onno", 2), ("ononon", 3), ("noonno", 3), ("oon", 2)],
)
def test_copies_are_counted_not_just_remembered(arrivals: str, delivered: int) -> None:
    assert count(arrivals) == delivered


def test_after_the_maximum_skew_the_same_text_is_another_event(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Deduplicator()
    subscription = Subscription("/default/*", print, None, print, 1)
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert not seen.is_copy_on_old(subscription, "e")
    now += deduplication.MAX_COPY_SKEW_S + 0.1
    assert not seen.is_copy_on_new(subscription, "e")
    assert seen.is_copy_on_old(subscription, "e")


FAULTS: dict[str, tuple[str, Step]] = {
    "refused": ("connection_init", refuse("connection_error", "UnauthorizedException", errorCode=401)),
    "limited": ("connection_init", refuse("connection_error", "LimitExceededError")),
    "no acknowledgement": ("connection_init", ignore),
    "closed instead of an acknowledgement": ("connection_init", close(1011)),
    "cut instead of an acknowledgement": ("connection_init", abort),
    "no response": ("subscribe", ignore),
    "closed instead of a response": ("subscribe", close(1001)),
    "cut instead of a response": ("subscribe", abort),
    "subscription refused": ("subscribe", refuse("subscribe_error", "MaxSubscriptionsReachedError")),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_failed_renewal_keeps_the_old_connection_and_is_retried(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, inbox: Inbox, fault: str
) -> None:
    step, misbehave = FAULTS[fault]
    link = make_link(renewal=early_renewal(after=0.5, takeover=0.5), timeouts=SHORT_TIMEOUTS)
    subscription = link.subscribe("/default/*", inbox)
    assert await subscription.wait_live(10)
    works = server.on[step]
    server.on[step] = misbehave
    await changes.until(LinkEventKind.RENEWAL_FAILED, times=2)
    old = server.peers[0]
    assert not old.closed
    await old.data("/default/*", "1")
    await inbox.until("1")
    server.on[step] = works
    await changes.until(LinkEventKind.RENEWED)
    await server.peer.data("/default/*", "2")
    await inbox.until("1", "2")
    attempts = [event.attempt for event in changes.of(LinkEventKind.RENEWAL_FAILED)]
    assert attempts == list(range(1, len(attempts) + 1))
    assert (subscription.down_since, changes.of(LinkEventKind.DOWN)) == (None, [])
    await server.until(lambda: [peer.closed for peer in server.peers] == [True] * (len(server.peers) - 1) + [False])


async def test_a_refused_renewal_refreshes_the_credentials(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    class Rotated(ApiKey):
        async def refresh(self) -> int:
            self._key = "da2-rotated"
            return await super().refresh()

    async def acknowledge_rotated(peer: Peer, message: Message) -> None:
        fresh = peer.authorization["x-api-key"] == "da2-rotated" or peer is server.peers[0]
        await (acknowledge if fresh else refuse("connection_error", "UnauthorizedException"))(peer, message)

    server.on["connection_init"] = acknowledge_rotated
    assert (
        await make_link(authorizer=Rotated("http://h/event", KEY), renewal=early_renewal())
        .subscribe("/a", print)
        .wait_live(10)
    )
    await changes.until(LinkEventKind.RENEWED)
    assert len(changes.of(LinkEventKind.RENEWAL_FAILED)) == 1


@pytest.mark.parametrize("fault", [RuntimeError("names the secret"), asyncio.CancelledError()])
async def test_an_authorizer_that_raises_during_a_renewal_does_no_harm(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, fault: BaseException
) -> None:
    class Faulty(ApiKey):
        async def connect(self) -> dict[str, str]:
            if len(server.peers) == 1 and not changes.of(LinkEventKind.RENEWAL_FAILED):
                raise fault
            return await super().connect()

    link = make_link(authorizer=Faulty("http://h/event", KEY), renewal=early_renewal())
    assert await link.subscribe("/default/*", print).wait_live(10)
    await changes.until(LinkEventKind.RENEWED)
    (failed,) = changes.of(LinkEventKind.RENEWAL_FAILED)
    assert "secret" not in repr(failed)
    assert changes.of(LinkEventKind.DOWN) == []


@pytest.mark.parametrize("step", ["connection_init", "subscribe"])
async def test_an_old_connection_that_ends_before_it_is_replaced_is_an_ordinary_loss(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, inbox: Inbox, step: str
) -> None:
    works = server.on[step]
    server.on[step] = first(works, ignore, then=works)
    subscription = make_link(renewal=early_renewal(after=0.3)).subscribe("/default/*", inbox)
    assert await subscription.wait_live(10)
    await server.wait_for(step, times=2)
    await close(1001)(server.peers[0], {})
    assert (await changes.until(LinkEventKind.DOWN)).close_code == 1001
    await server.subscribed(3)
    assert await subscription.wait_live(10)
    await server.peer.data("/default/*", "1")
    await inbox.until("1")
    assert server.peers[1].closed


async def test_an_old_connection_that_ends_after_the_new_one_is_subscribed_is_not_a_loss(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, inbox: Inbox
) -> None:
    subscription = make_link(renewal=early_renewal(overlap=30)).subscribe("/default/*", inbox)
    assert await subscription.wait_live(10)
    await changes.until(LinkEventKind.SUBSCRIPTION_CONFIRMED, times=2)
    await abort(server.peers[0], {})
    await changes.until(LinkEventKind.RENEWED)
    assert (subscription.down_since, changes.of(LinkEventKind.DOWN)) == (None, [])
    await server.peer.data("/default/*", "1")
    await inbox.until("1")


async def test_a_new_connection_that_ends_during_the_overlap_leaves_the_old_one_in_use(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, inbox: Inbox
) -> None:
    subscription = make_link(renewal=early_renewal(overlap=1)).subscribe("/default/*", inbox)
    assert await subscription.wait_live(10)
    await changes.until(LinkEventKind.SUBSCRIPTION_CONFIRMED, times=2)
    await close(1011)(server.peers[1], {})
    assert (await changes.until(LinkEventKind.RENEWAL_FAILED)).close_code == 1011
    await server.peers[0].data("/default/*", "1")
    await inbox.until("1")
    await changes.until(LinkEventKind.RENEWED)
    assert (subscription.down_since, changes.of(LinkEventKind.DOWN)) == (None, [])


@pytest.mark.parametrize("fails", [False, True])
async def test_events_are_compared_only_while_two_connections_are_open(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    monkeypatch.setattr(renewal, "MAX_COPY_SKEW_S", 0.1)
    link = make_link(renewal=Renewal(earliest=0.1, latest=0.1, overlap=0.5, backoff=Backoff(base=60, rand=lambda: 1.0)))
    assert await link.subscribe("/default/*", print).wait_live(10)
    await changes.until(LinkEventKind.SUBSCRIPTION_CONFIRMED, times=2)
    compares = [connection.session.owners for connection in link._connections._connections]
    assert [owners.is_copy is None for owners in compares] == [False, False]
    if fails:
        await close(1011)(server.peers[1], {})
        await changes.until(LinkEventKind.RENEWAL_FAILED)
    else:
        await changes.until(LinkEventKind.RENEWED)
    remaining = compares[0 if fails else 1]
    async with asyncio.timeout(5):
        while remaining.is_copy is not None:  # noqa: ASYNC110 - the end of the comparison has no event
            await asyncio.sleep(0.01)


async def test_a_silent_connection_is_replaced_long_before_its_timeout(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "SILENCE_CHECK_INTERVAL_S", 0.1)
    server.on["connection_init"] = first(acknowledge_for(8000), then=acknowledge)
    live_states: list[bool] = []
    link = make_link(renewal=early_renewal(after=3600))
    subscription = link.subscribe("/default/*", inbox, lambda subscription: live_states.append(subscription.live))
    assert await subscription.wait_live(10)
    assert (await changes.until(LinkEventKind.RENEWED)).reason == "silence"
    await server.peer.data("/default/*", "1")
    await inbox.until("1")
    # Reported live once more: events of the silent connection may be missing.
    assert (live_states, changes.of(LinkEventKind.DOWN), len(server.peers)) == ([True, True], [], 2)


async def test_a_connection_is_not_replaced_for_one_silent_check_between_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(renewal, "SILENCE_CHECK_INTERVAL_S", 0.01)

    class Suspended:
        """A connection that looks silent at every second check, as after a suspension of this process."""

        task = asyncio.get_running_loop().create_future()
        checks = itertools.cycle([True, False])

        @property
        def is_silent(self) -> bool:
            return next(self.checks)

    parts: Any = None
    renewer = Renewer(parts, parts, early_renewal(after=0.2), parts)
    connection: Any = Suspended()
    began = time.monotonic()
    await renewer._until_due(connection)
    assert time.monotonic() - began >= 0.2


async def test_a_connection_that_receives_frames_is_not_replaced(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "SILENCE_CHECK_INTERVAL_S", 0.5)
    server.on["connection_init"] = acknowledge_for(8000)
    assert await make_link(renewal=early_renewal(after=3600)).subscribe("/default/*", print).wait_live(10)
    for _ in range(30):  # three seconds, longer than the silence that leads to a renewal
        await asyncio.sleep(0.1)
        await server.peer.send({"type": "ka"})
    assert (len(server.peers), changes.of(LinkEventKind.RENEWAL_FAILED)) == (1, [])


async def test_a_silent_connection_that_cannot_be_replaced_ends_at_its_timeout(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "SILENCE_CHECK_INTERVAL_S", 0.1)
    server.on["connection_init"] = first(acknowledge_for(2000), then=ignore)
    link = make_link(renewal=early_renewal(after=3600), timeouts=SHORT_TIMEOUTS)
    assert await link.subscribe("/default/*", print).wait_live(10)
    assert (await changes.until(LinkEventKind.DOWN)).reason == "nothing received for 2 s"
    assert len(server.peers) > 1


async def test_subscriptions_can_be_added_and_ended_during_the_overlap(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, inbox: Inbox
) -> None:
    link = make_link(renewal=early_renewal(overlap=30))
    kept, ended = link.subscribe("/default/kept", print), link.subscribe("/default/ended", print)
    assert await kept.wait_live(10)
    assert await ended.wait_live(10)
    await changes.until(LinkEventKind.SUBSCRIPTION_CONFIRMED, times=4)
    old, new = server.peers
    await ended.unsubscribe()
    added = link.subscribe("/default/added", inbox)
    await changes.until(LinkEventKind.SUBSCRIPTION_CONFIRMED, times=6)
    for peer in (old, new):
        assert sorted(peer.subscriptions.values()) == ["/default/added", "/default/kept"]
        await peer.data("/default/added", "1")
    await abort(old, {})
    await changes.until(LinkEventKind.RENEWED)
    await new.data("/default/added", "2")
    await inbox.until("1", "2")
    assert added.live


@pytest.mark.parametrize("step", ["connection_init", "subscribe"])
async def test_closing_during_a_renewal_leaves_nothing(
    server: ScriptedServer, make_link: LinkFactory, step: str
) -> None:
    works = server.on[step]
    server.on[step] = first(works, then=ignore)
    link = make_link(renewal=early_renewal(), timeouts=Timeouts(connect=10, ack=10, subscribe=10, close=0.3))
    assert await link.subscribe("/default/*", print).wait_live(10)
    await server.wait_for(step, times=2)
    async with asyncio.timeout(10):
        await asyncio.gather(link.close(), link.close())
    assert remains() == []
    await server.until(lambda: all(peer.closed for peer in server.peers))


async def test_closing_during_the_overlap_leaves_nothing(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    link = make_link(renewal=early_renewal(overlap=30))
    assert await link.subscribe("/default/*", print).wait_live(10)
    await changes.until(LinkEventKind.SUBSCRIPTION_CONFIRMED, times=2)
    await link.close()
    assert remains() == []
    await server.until(lambda: all(peer.closed for peer in server.peers))
    assert [peer.subscriptions for peer in server.peers] == [{}, {}]


@pytest.fixture
async def aws() -> AsyncIterator[LocalAws]:
    async with LocalAws(port=0) as aws:
        yield aws


async def test_a_stream_of_events_survives_many_renewals_without_loss_or_duplicates(
    aws: LocalAws, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "MAX_COPY_SKEW_S", 0.2)  # the minimum time between two renewals
    authorizer = ApiKey(aws.http_url, aws.api_key)
    received: Counter[str] = Counter()
    notifier = Notifier()

    def receive(event: str) -> None:
        received[event] += 1
        notifier.notify()

    async with (
        Link(
            aws.realtime_url, authorizer, on_link_event=changes, timeouts=TIMEOUTS, renewal=early_renewal(after=0.05)
        ) as link,
        Publisher(aws.http_url, authorizer) as publisher,
    ):
        own = link.subscribe(f"/{aws.namespace}/own/*", receive)
        assert await own.wait_live(10)
        sent: Counter[str] = Counter()
        while len(changes.of(LinkEventKind.RENEWED)) < 5:
            # Each text is sent twice.
            events = [str(number // 2) for number in range(sent.total(), sent.total() + 5)]
            await publisher.publish(f"/{aws.namespace}/own/1", events)
            sent.update(events)
        await notifier.until(lambda: received.total() >= sent.total())
    assert received == sent
    assert changes.of(LinkEventKind.DOWN) == []
    assert remains() == []

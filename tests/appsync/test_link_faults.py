from __future__ import annotations

import asyncio
import ssl
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from websockets.utils import accept_key

from service.appsync import ApiKey, Backoff, Link, LinkEvent, LinkEventKind, Subscription, Timeouts
from service.appsync import connection as connection_module

from .conftest import KEY, SHORT_BACKOFF, SHORT_TIMEOUTS
from .scripted_server import (
    abort,
    acknowledge,
    acknowledge_for,
    close,
    confirm,
    first,
    ignore,
    refuse,
    respond,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .conftest import Changes, Inbox, LinkFactory
    from .scripted_server import Message, Peer, ScriptedServer, Step


class RotatingKey(ApiKey):
    """A key that counts how often it is refreshed, which may fail."""

    def __init__(self, *faults: BaseException) -> None:
        super().__init__("http://127.0.0.1/event", KEY)
        self.refreshed = 0
        self.faults = list(faults)

    async def refresh(self) -> int:
        self.refreshed += 1
        if self.faults:
            raise self.faults.pop(0)
        return await super().refresh()


class FailingKey(ApiKey):
    """A key whose source fails a few times before it works."""

    def __init__(self, *, on_connect: Sequence[BaseException] = (), on_subscribe: Sequence[BaseException] = ()) -> None:
        super().__init__("http://127.0.0.1/event", KEY)
        self.on_connect = list(on_connect)
        self.on_subscribe = list(on_subscribe)

    async def connect(self) -> dict[str, str]:
        if self.on_connect:
            raise self.on_connect.pop(0)
        return await super().connect()

    async def subscribe(self, channel: str) -> dict[str, str]:
        if self.on_subscribe:
            raise self.on_subscribe.pop(0)
        return await super().subscribe(channel)


async def released_by_the_session(subscription: Subscription) -> None:
    """Wait for the session's timeout, which ends at about the same time as that of `unsubscribe`."""
    if subscription._requested:
        await subscription._release_waiters.wait(10)
    assert not subscription._requested


ENDINGS = {
    "1000": (close(1000), 1000),
    "1001": (close(1001), 1001),
    "1011": (close(1011), 1011),
    "1012": (close(1012), 1012),
    "4400": (close(4400), 4400),
    "4999": (close(4999), 4999),
    "1006": (abort, 1006),
}


@pytest.mark.parametrize("step", ["connect", "connection_init", "subscribe"])
@pytest.mark.parametrize("ending", ENDINGS)
async def test_the_link_reconnects_whenever_a_connection_ends_at_any_step(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, inbox: Inbox, step: str, ending: str
) -> None:
    fault, code = ENDINGS[ending]
    server.on[step] = first(fault, fault, then=server.on[step])
    subscription = make_link().subscribe("/default/*", inbox)
    assert await subscription.wait_live(10)
    await server.peer.data("/default/*", "1")
    await inbox.until("1")
    kind = LinkEventKind.DOWN if step == "subscribe" else LinkEventKind.CONNECT_FAILED
    assert [event.close_code for event in changes.of(kind)] == [code, code]
    assert len(server.peers) == 3


@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_live_connection_that_ends_is_replaced_and_everything_is_resubscribed(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, inbox: Inbox, ending: str
) -> None:
    link = make_link()
    one, two = link.subscribe("/default/1", inbox), link.subscribe("/default/2", inbox)
    assert await one.wait_live(10)
    assert await two.wait_live(10)
    fault, code = ENDINGS[ending]
    started = time.monotonic()
    await fault(server.peer, {})
    down = await changes.until(LinkEventKind.DOWN)
    assert (down.close_code, down.attempt) == (code, 1)
    assert down.delay is not None
    assert down.delay <= SHORT_BACKOFF.base
    assert not one.live
    assert started <= (one.down_since or 0) <= time.monotonic()
    assert await one.wait_live(10)
    assert await two.wait_live(10)
    await server.peer.data("/default/1", "1")
    await server.peer.data("/default/2", "2")
    await inbox.until("1", "2")
    assert link.reconnects == 1


@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_close_in_response_to_unsubscribe_ends_the_subscription_too(
    server: ScriptedServer, make_link: LinkFactory, ending: str
) -> None:
    server.on["unsubscribe"], _ = ENDINGS[ending]
    link = make_link()
    subscription, kept = link.subscribe("/default/*", print), link.subscribe("/default/kept", print)
    assert await subscription.wait_live(10)
    await subscription.unsubscribe()
    peer = await server.subscribed(2)
    assert await kept.wait_live(10)
    assert list(peer.subscriptions.values()) == ["/default/kept"]


async def test_the_link_reconnects_to_a_server_that_was_down(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, inbox: Inbox
) -> None:
    subscription = make_link().subscribe("/default/*", inbox)
    assert await subscription.wait_live(10)
    await server.stop()
    await changes.until(LinkEventKind.CONNECT_FAILED, times=5)
    attempts = [event.attempt for event in changes.of(LinkEventKind.CONNECT_FAILED)]
    assert attempts == list(range(attempts[0], attempts[0] + len(attempts)))
    await server.start()
    assert await subscription.wait_live(10)
    await server.peer.data("/default/*", "1")
    await inbox.until("1")


async def test_the_backoff_resets_only_after_a_connection_that_lasted(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    server.on["connection_init"] = first(*[close(1001)] * 3, then=acknowledge)
    backoff = Backoff(base=0.01, cap=2.0, rand=lambda: 0.0)
    make_link(backoff=backoff)
    await changes.until(LinkEventKind.UP)
    await abort(server.peer, {})
    assert (await changes.until(LinkEventKind.DOWN)).attempt == 4
    await changes.until(LinkEventKind.UP, times=2)
    await asyncio.sleep(backoff.cap + 0.1)  # this test is about time
    await abort(server.peer, {})
    assert (await changes.until(LinkEventKind.DOWN, times=2)).attempt == 1


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (None, "the handshake took longer than 1 s"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: webs", "the handshake took longer than 1 s"),
        (b"", "the handshake failed with InvalidMessage"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "the handshake failed with InvalidMessage"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "the handshake failed with InvalidUpgrade"),
    ],
)
async def test_a_missing_or_invalid_handshake_is_a_failed_attempt(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, response: bytes | None, reason: str
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if response is not None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(response)
        if response is None or response.endswith(b"webs"):
            await reader.read()  # until the client gives up
        writer.close()

    other = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = other.sockets[0].getsockname()[1]
    link = make_link(realtime_url=f"ws://127.0.0.1:{port}/event/realtime", timeouts=SHORT_TIMEOUTS)
    await changes.until(LinkEventKind.CONNECT_FAILED, times=2)
    assert [event.reason for event in changes.of(LinkEventKind.CONNECT_FAILED)[:2]] == [reason, reason]
    await link.close()
    other.close()
    await other.wait_closed()


async def test_a_missing_acknowledgement_is_a_failed_attempt(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    server.on["connection_init"] = first(ignore, then=acknowledge)
    subscription = make_link(timeouts=SHORT_TIMEOUTS).subscribe("/default/*", print)
    assert await subscription.wait_live(20)
    failed = changes.of(LinkEventKind.CONNECT_FAILED)[0]
    assert failed.reason == "no acknowledgement within 1 s"


async def test_an_unanswered_subscribe_ends_a_connection_without_live_subscriptions(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    server.on["subscribe"] = first(ignore, then=confirm)
    subscription = make_link(timeouts=SHORT_TIMEOUTS).subscribe("/default/*", print)
    assert await subscription.wait_live(20)
    assert changes.of(LinkEventKind.DOWN)[0].reason == "no response to subscribe"
    assert len(server.peers) >= 2


async def test_an_unanswered_subscribe_is_repeated_beside_a_live_one_and_its_late_success_undone(
    server: ScriptedServer, make_link: LinkFactory, inbox: Inbox, changes: Changes
) -> None:
    server.on["subscribe"] = first(confirm, ignore, then=confirm)
    link = make_link(timeouts=SHORT_TIMEOUTS)
    assert await link.subscribe("/default/1", print).wait_live(20)
    subscription = link.subscribe("/default/2", inbox)
    assert await subscription.wait_live(20)
    assert changes.of(LinkEventKind.SUBSCRIPTION_UNANSWERED)[0].channel == "/default/2"
    _, unanswered, _ = server.all("subscribe")
    await confirm(server.peer, unanswered)
    (undone,) = await server.wait_for("unsubscribe")
    assert undone["id"] == unanswered["id"]
    await server.peer.data("/default/2", "1")
    await inbox.until("1")
    assert len(server.peers) == 1


async def test_a_late_success_that_is_followed_by_an_error_needs_no_unsubscribe(
    server: ScriptedServer, make_link: LinkFactory, inbox: Inbox
) -> None:
    server.on["subscribe"] = first(confirm, ignore, then=confirm)
    link = make_link(timeouts=SHORT_TIMEOUTS)
    assert await link.subscribe("/default/1", print).wait_live(20)
    assert await link.subscribe("/default/2", inbox).wait_live(20)
    _, unanswered, _ = server.all("subscribe")
    id_ = unanswered["id"]
    # Both frames arrive before the client sends anything.
    server.peer.websocket.transport.pause_reading()
    for kind in ("subscribe_success", "subscribe_error"):
        await server.peer.send({"type": kind, "id": id_})
    server.peer.websocket.transport.resume_reading()
    await server.peer.data("/default/2", "1")
    await inbox.until("1")
    assert link.connected


async def test_an_unanswered_unsubscribe_times_out(
    server: ScriptedServer, make_link: LinkFactory, inbox: Inbox
) -> None:
    server.on["unsubscribe"] = ignore
    link = make_link(timeouts=SHORT_TIMEOUTS)
    ended, kept = link.subscribe("/default/1", print), link.subscribe("/default/2", inbox)
    assert await ended.wait_live(10)
    assert await kept.wait_live(10)
    await ended.unsubscribe()
    await released_by_the_session(ended)
    assert kept.live
    assert link.connected


async def test_an_unanswered_subscription_that_is_ended_is_forgotten(
    server: ScriptedServer, make_link: LinkFactory
) -> None:
    server.on["subscribe"] = first(confirm, ignore, then=confirm)
    link = make_link(timeouts=SHORT_TIMEOUTS)
    assert await link.subscribe("/default/1", print).wait_live(10)
    ended = link.subscribe("/default/2", print)
    await server.wait_for("subscribe", times=2)
    await ended.unsubscribe()
    await released_by_the_session(ended)
    assert link.connected
    assert len(server.all("subscribe")) == 2


async def test_silence_beyond_the_acknowledged_timeout_ends_the_connection(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    server.on["connection_init"] = first(acknowledge_for(300), then=acknowledge)
    subscription = make_link().subscribe("/default/*", print)
    down = await changes.until(LinkEventKind.DOWN)
    assert down.reason == "nothing received for 0.3 s"
    await server.subscribed(2)
    assert await subscription.wait_live(10)


async def test_any_frame_keeps_the_connection_alive(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    server.on["connection_init"] = acknowledge_for(1000)
    link = make_link()
    assert await link.subscribe("/default/*", print).wait_live(10)
    for number in range(20):  # two seconds, twice the silence timeout
        await asyncio.sleep(0.1)
        await server.peer.send({"type": "ka"} if number % 2 else "not even JSON")
    assert link.connected
    assert changes.of(LinkEventKind.DOWN) == []


async def test_a_suspended_process_reads_buffered_frames_before_it_judges_the_connection(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, inbox: Inbox
) -> None:
    server.on["connection_init"] = acknowledge_for(1500)
    assert await make_link().subscribe("/default/*", inbox).wait_live(10)
    await server.peer.data("/default/*", "1")  # buffered by the kernel while the event loop is blocked
    time.sleep(2)  # noqa: ASYNC251 - to block the event loop is the point
    await inbox.until("1")
    loop = asyncio.get_running_loop()
    checked_twice = loop.create_future()
    loop.call_later(2 * connection_module.WATCHDOG_RECHECK_DELAY_S, checked_twice.set_result, None)
    await checked_twice
    assert changes.of(LinkEventKind.DOWN) == []


async def test_a_jump_of_the_wall_clock_has_no_effect(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.on["connection_init"] = acknowledge_for(3000)
    subscription = make_link().subscribe("/default/*", inbox)
    assert await subscription.wait_live(10)
    now = time.time
    for jump in (86_400, -86_400):
        monkeypatch.setattr(time, "time", lambda jump=jump: now() + jump)
        await asyncio.sleep(2 * connection_module.WATCHDOG_INTERVAL_S)  # the watchdog checks more than once
        await server.peer.data("/default/*", str(jump))
    await inbox.until("86400", "-86400")
    assert subscription.down_since is None
    assert changes.of(LinkEventKind.DOWN) == []


async def test_a_close_that_the_peer_does_not_complete_is_aborted(make_link: LinkFactory, changes: Changes) -> None:
    connections = 0
    up = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        (key,) = (line.split(": ")[1] for line in request.split("\r\n") if line.startswith("Sec-WebSocket-Key"))
        writer.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept_key(key)}\r\nSec-WebSocket-Protocol: aws-appsync-event-ws\r\n\r\n".encode()
        )
        await reader.read(1)  # the first byte of connection_init
        ack = b'{"type":"connection_ack"}'
        writer.write(bytes([0x81, len(ack)]) + ack)
        await up.wait()
        writer.write(b"\x88\x02" + (1001).to_bytes(2, "big"))
        await reader.read()  # without closing the connection
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link = make_link(realtime_url=f"ws://127.0.0.1:{port}/event/realtime", backoff=Backoff(base=30, cap=30))
    await changes.until(LinkEventKind.UP)
    up.set()
    assert (await changes.until(LinkEventKind.DOWN)).reason == "close not completed"
    assert connections == 1
    await link.close()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"data",',
        "[]",
        "17",
        '{"type":3}',
        '{"id":"1"}',
        '{"type":"data"}',
        '{"type":"data","id":"1"}',
        '{"type":"data","id":"1","event":{"a":1}}',
        '{"type":"data","id":"1","event":["1",2]}',
        '{"type":"subscribe_success"}',
        b"\xff\xfe",
    ],
)
async def test_a_malformed_frame_is_skipped_and_reported_without_its_content(
    server: ScriptedServer, make_link: LinkFactory, inbox: Inbox, changes: Changes, frame: str | bytes
) -> None:
    link = make_link()
    assert await link.subscribe("/default/*", inbox).wait_live(10)
    await server.peer.send(frame)
    await server.peer.data("/default/*", "1")
    await inbox.until("1")
    assert link.malformed_frames == 1
    (reported,) = changes.of(LinkEventKind.MALFORMED_FRAME)
    assert reported.reason
    assert str(frame) not in reported.reason


async def test_a_flood_of_malformed_frames_is_reported_once_a_minute_with_its_count(
    server: ScriptedServer, make_link: LinkFactory, inbox: Inbox, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = make_link()
    assert await link.subscribe("/default/*", inbox).wait_live(10)
    for _ in range(500):
        await server.peer.send("not JSON")
    await server.peer.data("/default/*", "1")
    await inbox.until("1")
    (reported,) = changes.of(LinkEventKind.MALFORMED_FRAME)
    assert (reported.suppressed, link.malformed_frames) == (0, 500)
    now = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: now() + 61)
    await server.peer.send("not JSON")
    assert (await changes.until(LinkEventKind.MALFORMED_FRAME, times=2)).suppressed == 499


async def test_binary_frames_are_read_like_text_frames(
    server: ScriptedServer, make_link: LinkFactory, inbox: Inbox
) -> None:
    assert await make_link().subscribe("/default/*", inbox).wait_live(10)
    (id_,) = server.peer.subscriptions
    await server.peer.send(b'{"type":"data","id":"%s","event":"1"}' % id_.encode())
    await inbox.until("1")


async def test_unknown_ids_are_skipped_and_counted(
    server: ScriptedServer, make_link: LinkFactory, inbox: Inbox
) -> None:
    link = make_link()
    assert await link.subscribe("/default/*", inbox).wait_live(10)
    for kind in ("data", "subscribe_success", "subscribe_error", "unsubscribe_success", "unsubscribe_error"):
        await server.peer.send({"type": kind, "id": "77", "event": '"no"'})
    await server.peer.data("/default/*", "1")
    await inbox.until("1")
    assert link.unknown_ids == 5


@pytest.mark.parametrize("response", [{"type": "error"}, {"type": "broadcast_error"}, {"type": "subscribe_error"}])
async def test_an_error_without_an_id_is_reported_and_ends_nothing(
    server: ScriptedServer, make_link: LinkFactory, inbox: Inbox, changes: Changes, response: Message
) -> None:
    assert await make_link().subscribe("/default/*", inbox).wait_live(10)
    await server.peer.send(response | {"errors": [{"errorType": "LimitExceededError", "message": "secret"}]})
    reported = await changes.until(LinkEventKind.ERROR_FRAME)
    assert reported.error_type == "LimitExceededError"
    assert "secret" not in repr(reported)
    await server.peer.data("/default/*", "1")
    await inbox.until("1")


@pytest.mark.parametrize(
    "refusal",
    [
        refuse("connection_error", "UnauthorizedException", errorCode=401, message="no"),
        refuse("connection_error", "UnauthorizedException"),
        refuse("connection_error", "BadRequestException", errorCode="400"),
        refuse("connection_error", "SomethingNew", errorCode=403),
    ],
)
async def test_a_refused_connection_is_retried_with_new_credentials_and_then_slowly(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, refusal: Step
) -> None:
    server.on["connection_init"] = first(refusal, refusal, then=acknowledge)
    authorizer = RotatingKey()
    subscription = make_link(authorizer=authorizer).subscribe("/default/*", print)
    assert await subscription.wait_live(10)
    early, late = changes.of(LinkEventKind.REFUSED)
    assert early.delay is not None
    assert early.delay <= SHORT_BACKOFF.base
    assert late.delay is not None
    assert late.delay >= 0.9 * SHORT_BACKOFF.refused_cap
    assert early.error_type is not None
    assert authorizer.refreshed == 2


class KeyWithSource(ApiKey):
    """A key whose source is changed by the test; it counts how often it is read."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1/event", "da2-revoked")
        self.source = "da2-revoked"
        self.read = 0

    async def refresh(self) -> int:
        self.read += 1
        self._key = self.source
        return await super().refresh()


async def accept_only_the_new_key(peer: Peer, message: Message) -> None:
    known = peer.authorization["x-api-key"] == KEY
    await (acknowledge if known else refuse("connection_error", "UnauthorizedException", errorCode=401))(peer, message)


async def test_a_key_rotated_during_refusals_is_used_long_before_the_next_slow_attempt(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    server.on["connection_init"] = accept_only_the_new_key
    authorizer = KeyWithSource()
    backoff = Backoff(base=0.01, cap=0.05, refresh_interval=0.2, refused_cap=60, rand=lambda: 1.0)
    subscription = make_link(authorizer=authorizer, backoff=backoff).subscribe("/default/*", print)
    slow = await changes.until(LinkEventKind.REFUSED, times=6)
    assert (slow.delay or 0) > 3  # after enough doublings
    authorizer.source = KEY
    async with asyncio.timeout(3):
        assert await subscription.wait_live(3)


async def test_a_key_that_stays_refused_is_retried_more_and_more_slowly_and_read_at_a_bounded_rate(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    server.on["connection_init"] = accept_only_the_new_key
    authorizer = KeyWithSource()
    started = time.monotonic()
    make_link(
        authorizer=authorizer,
        backoff=Backoff(base=0.01, cap=0.05, refresh_interval=0.2, refused_cap=1.6, rand=lambda: 0.5),
    ).subscribe("/default/*", print)
    await changes.until(LinkEventKind.REFUSED, times=6)
    took = time.monotonic() - started
    assert [event.delay for event in changes.of(LinkEventKind.REFUSED)] == [0.005, 0.2, 0.4, 0.8, 1.6, 1.6]
    assert took >= 0.2 + 0.4 + 0.8 + 1.6
    assert 5 <= authorizer.read <= 3 + took / 0.2


async def test_a_refusal_is_read_even_if_the_connection_closes_before_the_first_message(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    async def refuse_and_close(peer: Peer, message: Message) -> None:
        await refuse("connection_error", "UnauthorizedException", errorCode=401)(peer, message)
        await peer.websocket.close(1000)

    server.on["connect"] = first(refuse_and_close, refuse_and_close, then=ignore)
    assert await make_link().subscribe("/default/*", print).wait_live(10)
    assert len(changes.of(LinkEventKind.REFUSED)) == 2
    assert changes.of(LinkEventKind.CONNECT_FAILED) == []


async def test_a_subscription_ended_before_its_refusal_is_not_retried(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    server.on["subscribe"] = first(ignore, then=confirm)
    link = make_link()
    ended = link.subscribe("/default/1", print)
    (request,) = await server.wait_for("subscribe")
    unsubscribing = asyncio.create_task(ended.unsubscribe())
    await asyncio.sleep(0)
    await refuse("subscribe_error", "BadRequestException")(server.peer, request)
    await unsubscribing
    assert await link.subscribe("/default/2", print).wait_live(10)
    assert len(server.all("subscribe")) == 2
    assert changes.of(LinkEventKind.SUBSCRIPTION_REFUSED) == []


async def test_a_refused_handshake_counts_as_a_refusal(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    server.handshake_statuses[:] = [401, 403]
    authorizer = RotatingKey()
    assert await make_link(authorizer=authorizer).subscribe("/default/*", print).wait_live(10)
    assert [event.reason for event in changes.of(LinkEventKind.REFUSED)] == [
        "refused: unnamed error (401)",
        "refused: unnamed error (403)",
    ]
    assert authorizer.refreshed == 2


async def test_a_handshake_that_fails_for_other_reasons_is_retried(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    server.handshake_statuses[:] = [503, 302, 429]
    assert await make_link().subscribe("/default/*", print).wait_live(10)
    assert [event.reason for event in changes.of(LinkEventKind.CONNECT_FAILED)] == [
        f"the handshake failed with status {status}" for status in (503, 302, 429)
    ]


async def test_a_connection_error_that_is_not_a_refusal_is_retried(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    server.on["connection_init"] = first(
        refuse("connection_error", "LimitExceededError"), respond({"type": "connection_error"}), then=acknowledge
    )
    authorizer = RotatingKey()
    assert await make_link(authorizer=authorizer).subscribe("/default/*", print).wait_live(10)
    assert len(changes.of(LinkEventKind.CONNECT_FAILED)) == 2
    assert authorizer.refreshed == 0


async def test_a_live_connection_may_be_refused_later(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    authorizer = RotatingKey()
    subscription = make_link(authorizer=authorizer).subscribe("/default/*", print)
    assert await subscription.wait_live(10)
    await refuse("connection_error", "UnauthorizedException", errorCode=401)(server.peer, {})
    await changes.until(LinkEventKind.REFUSED)
    assert await subscription.wait_live(10)
    assert authorizer.refreshed == 1


async def test_a_connection_that_lasted_makes_up_for_the_refusals_before_it(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    refusal = refuse("connection_error", "UnauthorizedException")
    server.on["connection_init"] = first(refusal, refusal, then=acknowledge)
    assert await make_link(authorizer=RotatingKey()).subscribe("/default/*", print).wait_live(10)
    await asyncio.sleep(2 * SHORT_BACKOFF.cap)  # this test is about time
    await refusal(server.peer, {})
    assert ((await changes.until(LinkEventKind.REFUSED, times=3)).delay or 0) <= SHORT_BACKOFF.base


async def test_a_failure_to_refresh_credentials_does_not_end_the_link(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    refusal = refuse("connection_error", "UnauthorizedException")
    server.on["connection_init"] = first(refusal, refusal, then=acknowledge)
    authorizer = RotatingKey(RuntimeError("names the secret"), asyncio.CancelledError())
    assert await make_link(authorizer=authorizer).subscribe("/default/*", print).wait_live(10)
    (reported,) = changes.of(LinkEventKind.REFRESH_FAILED)
    assert reported.error_type == "RuntimeError"
    assert "secret" not in repr(reported)


async def test_repeated_failures_to_refresh_credentials_are_reported_once(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    refusal = refuse("connection_error", "UnauthorizedException")
    server.on["connection_init"] = first(*[refusal] * 4, then=acknowledge)
    authorizer = RotatingKey(OSError(), OSError())
    assert await make_link(authorizer=authorizer).subscribe("/default/*", print).wait_live(10)
    assert len(changes.of(LinkEventKind.REFRESH_FAILED)) == 1


@pytest.mark.parametrize("error_type", ["UnauthorizedException", "AccessDeniedException", "BadRequestException"])
async def test_a_refused_subscription_is_retried_with_new_credentials_and_then_slowly(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, error_type: str
) -> None:
    refusal = refuse("subscribe_error", error_type)
    server.on["subscribe"] = first(refusal, refusal, then=confirm)
    authorizer = RotatingKey()
    subscription = make_link(authorizer=authorizer).subscribe("/default/*", print)
    early = await changes.until(LinkEventKind.SUBSCRIPTION_REFUSED)
    error = subscription.refused
    assert error is not None
    assert (error.channel, error.error_type, str(error)) == ("/default/*", error_type, f"/default/*: {error_type}")
    late = await changes.until(LinkEventKind.SUBSCRIPTION_REFUSED, times=2)
    assert (early.delay or 0) <= SHORT_BACKOFF.base
    assert (late.delay or 0) >= 0.9 * SHORT_BACKOFF.refused_cap
    assert await subscription.wait_live(10)
    assert subscription.refused is None
    assert authorizer.refreshed == 2
    assert len(server.peers) == 1


async def test_a_subscription_that_was_live_makes_up_for_the_refusals_before_it(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    refusal = refuse("subscribe_error", "UnauthorizedException")
    server.on["subscribe"] = first(refusal, refusal, then=confirm)
    authorizer = RotatingKey()
    link = make_link(authorizer=authorizer)
    assert await link.subscribe("/default/*", print).wait_live(10)
    assert await link.subscribe("/default/other", print).wait_live(10)
    assert authorizer.refreshed == 2  # one for each refusal, and none for later requests
    (id_, _) = server.peer.subscriptions
    await refusal(server.peer, {"id": id_})
    again = await changes.until(LinkEventKind.SUBSCRIPTION_REFUSED, times=3)
    assert (again.attempt, (again.delay or 0) <= SHORT_BACKOFF.base) == (1, True)


@pytest.mark.parametrize("response", [{"errors": [{"errorType": "LimitExceededError"}]}, {"errors": []}, {}])
async def test_a_subscription_that_fails_for_other_reasons_is_retried_soon(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, response: Message
) -> None:
    error = respond({"type": "subscribe_error", **response})
    server.on["subscribe"] = first(error, error, error, then=confirm)
    authorizer = RotatingKey()
    subscription = make_link(authorizer=authorizer).subscribe("/default/*", print)
    assert await subscription.wait_live(10)
    delays = [event.delay or 0 for event in changes.of(LinkEventKind.SUBSCRIPTION_REFUSED)]
    assert len(delays) == 3
    assert max(delays) <= SHORT_BACKOFF.cap
    assert authorizer.refreshed == 0


async def test_a_refused_subscription_can_be_ended(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    server.on["subscribe"] = refuse("subscribe_error", "MaxSubscriptionsReachedError")
    link = make_link(backoff=Backoff(base=30, cap=30, rand=lambda: 1.0))
    subscription = link.subscribe("/default/*", print)
    await changes.until(LinkEventKind.SUBSCRIPTION_REFUSED)
    await subscription.unsubscribe()
    server.on["subscribe"] = confirm
    assert await link.subscribe("/default/2", print).wait_live(10)
    assert [message["channel"] for message in server.all("subscribe")] == ["/default/*", "/default/2"]


async def test_an_authorizer_that_fails_is_called_again(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    faults = [RuntimeError("names the secret"), OSError("names the secret"), asyncio.CancelledError()]
    authorizer = FailingKey(on_connect=faults, on_subscribe=faults)
    assert await make_link(authorizer=authorizer).subscribe("/default/*", print).wait_live(10)
    assert [event.reason for event in changes.of(LinkEventKind.CONNECT_FAILED)] == [
        "the authorizer failed with RuntimeError",
        "the authorizer failed with OSError",
        "unexpected CancelledError",
    ]
    unanswered = changes.of(LinkEventKind.SUBSCRIPTION_UNANSWERED)
    assert [event.error_type for event in unanswered] == ["RuntimeError", "OSError"]
    assert changes.of(LinkEventKind.DOWN)[0].reason.startswith("subscribing ended")
    assert "secret" not in repr(changes)


async def test_an_authorizer_that_hangs_times_out(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    class Hanging(ApiKey):
        hanging = True

        async def connect(self) -> dict[str, str]:
            if self.hanging:
                await asyncio.Event().wait()
            return await super().connect()

    authorizer = Hanging("http://127.0.0.1/event", KEY)
    make_link(authorizer=authorizer, timeouts=Timeouts(connect=0.1))
    failed = await changes.until(LinkEventKind.CONNECT_FAILED)
    assert failed.reason == "the authorizer took longer than 0.1 s"
    authorizer.hanging = False


async def test_a_link_closes_even_if_its_authorizer_swallows_the_cancellation(
    server: ScriptedServer, make_link: LinkFactory
) -> None:
    called = asyncio.Event()

    class Stubborn(ApiKey):
        async def connect(self) -> dict[str, str]:
            called.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise RuntimeError from None
            return {}

    link = make_link(authorizer=Stubborn("http://127.0.0.1/event", KEY))
    await called.wait()
    async with asyncio.timeout(10):
        await link.close()


async def test_a_subscription_ended_during_its_authorisation_is_not_requested(
    server: ScriptedServer, make_link: LinkFactory
) -> None:
    called, allowed = asyncio.Event(), asyncio.Event()

    class Slow(ApiKey):
        async def subscribe(self, channel: str) -> dict[str, str]:
            called.set()
            await allowed.wait()
            return await super().subscribe(channel)

    link = make_link(authorizer=Slow("http://127.0.0.1/event", KEY))
    ended = link.subscribe("/default/1", print)
    await called.wait()
    await ended.unsubscribe()
    allowed.set()
    assert await link.subscribe("/default/2", print).wait_live(10)
    assert [message["channel"] for message in server.all("subscribe")] == ["/default/2"]


@pytest.mark.parametrize("fault", [ValueError("the event: 1"), asyncio.CancelledError(), asyncio.InvalidStateError()])
async def test_a_handler_that_raises_is_reported_and_later_events_are_delivered(
    server: ScriptedServer, make_link: LinkFactory, inbox: Inbox, changes: Changes, fault: BaseException
) -> None:
    def handle(event: str) -> None:
        if event == "1":
            raise fault
        inbox(event)

    link = make_link()
    assert await link.subscribe("/default/*", handle).wait_live(10)
    await server.peer.data("/default/*", ["1", "2"])
    await server.peer.data("/default/*", "3")
    await inbox.until("2", "3")
    (reported,) = changes.of(LinkEventKind.HANDLER_ERROR)
    assert (reported.error_type, reported.channel) == (type(fault).__name__, "/default/*")
    assert "the event" not in repr(reported)


async def test_an_observer_that_raises_is_reported_to_the_loop_and_the_link_continues(
    server: ScriptedServer, make_link: LinkFactory
) -> None:
    reported: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(str(context["exception"])))

    def observe(event: LinkEvent) -> None:
        raise RuntimeError(event.kind)

    assert await make_link(on_link_event=observe).subscribe("/default/*", print).wait_live(10)
    assert reported[:2] == [LinkEventKind.UP, LinkEventKind.SUBSCRIPTION_CONFIRMED]


async def test_a_link_needs_no_observer(server: ScriptedServer, make_link: LinkFactory) -> None:
    assert await make_link(on_link_event=None).subscribe("/default/*", print).wait_live(10)


async def test_a_server_without_tls_is_a_failed_attempt(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    make_link(realtime_url=server.url.replace("ws://", "wss://"), ssl_context=ssl.create_default_context())
    failed = await changes.until(LinkEventKind.CONNECT_FAILED)
    assert failed.reason.startswith("the handshake failed")


async def test_a_wss_link_loads_the_default_certificate_authorities() -> None:
    link = Link("wss://localhost/event/realtime", ApiKey("https://localhost/event", KEY))
    assert isinstance(link._connections._route.tls, ssl.SSLContext)
    await link.close()


async def test_a_connection_whose_peer_does_not_read_is_aborted(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    stopped = False

    async def stop_reading(peer: Peer, message: Message) -> None:
        nonlocal stopped
        await confirm(peer, message)
        if not stopped:
            stopped = True
            peer.websocket.transport.pause_reading()

    class Bulky(ApiKey):
        """An authorisation that is larger than all buffers on its way."""

        async def subscribe(self, channel: str) -> dict[str, str]:
            return {"host": "h", "padding": "x" * 16_000_000 if stopped and channel == "/default/2" else ""}

    server.on["subscribe"] = stop_reading
    link = make_link(authorizer=Bulky("http://127.0.0.1/event", KEY), timeouts=SHORT_TIMEOUTS)
    assert await link.subscribe("/default/1", print).wait_live(10)
    link.subscribe("/default/2", print)
    assert (await changes.until(LinkEventKind.DOWN)).reason == "the peer does not read"


async def test_a_proxy_from_the_environment_is_not_used_for_this_machine(
    server: ScriptedServer, make_link: LinkFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "ws_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert await make_link().subscribe("/default/*", print).wait_live(10)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ws://127.0.0.1:1/x", True),
        ("ws://[::1]:1/x", True),
        ("ws://localhost/x", True),
        ("wss://example.appsync-realtime-api.eu-west-1.amazonaws.com/event/realtime", False),
        ("ws://10.0.0.1/x", False),
    ],
)
def test_loopback_addresses_are_recognised(url: str, *, expected: bool) -> None:
    assert connection_module.is_loopback(url) is expected


async def test_no_log_record_of_websockets_reaches_a_handler(
    server: ScriptedServer, make_link: LinkFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    caplog.set_level("DEBUG", "websockets.client")
    assert await make_link().subscribe("/default/*", print).wait_live(10)
    assert "header-" not in "".join(record.getMessage() for record in caplog.records if "client" in record.name)


@pytest.mark.parametrize("status", [401, 403, 404, 500])
async def test_a_refused_handshake_is_reported_with_its_host(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, status: int
) -> None:
    server.handshake_statuses = [status]
    assert await make_link().subscribe("/default/*", print).wait_live(10)
    assert str(status) in changes[0].reason
    assert {event.host for event in changes} == {urlsplit(server.url).netloc}


@pytest.mark.parametrize(
    ("scheme", "host", "reason"),
    [
        ("ws", "no-such-host.invalid", "gaierror"),
        ("ws", "127.0.0.1:1", "ConnectionRefusedError"),
        ("ws", "user:secret@127.0.0.1:1", "ConnectionRefusedError"),
        ("wss", "{server}", "Error"),
    ],
)
async def test_a_host_that_cannot_be_reached_is_named(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, scheme: str, host: str, reason: str
) -> None:
    host = host.format(server=urlsplit(server.url).netloc)
    make_link(realtime_url=f"{scheme}://{host}/event/realtime")
    event = await changes.until(LinkEventKind.CONNECT_FAILED)
    assert event.host == host.removeprefix("user:secret@")
    assert reason in event.reason
    assert "secret" not in repr(event)


async def test_a_refused_subscription_is_reported_with_its_host_and_channel(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    server.on["subscribe"] = refuse("subscribe_error", "UnauthorizedException")
    make_link().subscribe("/typo/me/*", print)
    event = await changes.until(LinkEventKind.SUBSCRIPTION_REFUSED)
    assert (event.host, event.channel) == (urlsplit(server.url).netloc, "/typo/me/*")


@pytest.mark.parametrize(
    ("error_type", "shown"),
    [
        ("X" * 2**20, "X" * 128),
        ("Denied\r\n\x1b[31m", "Denied"),
        ("Denied\ud800", "Denied"),
        ("\ud800", None),
        ("", None),
    ],
)
async def test_a_name_of_an_error_that_no_log_could_show_is_cut(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, error_type: str, shown: str | None
) -> None:
    server.on["subscribe"] = refuse("subscribe_error", error_type)
    make_link().subscribe("/default/*", print)
    event = await changes.until(LinkEventKind.SUBSCRIPTION_REFUSED)
    assert (event.error_type, event.reason) == (shown, f"/default/*: {shown or 'unnamed error'}")

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.local.conftest import AUTHORISED, DEADLINE, KEY, credentials, until

if TYPE_CHECKING:
    from tests.local.conftest import Aws

PROTOCOL = "aws-appsync-event-ws"


def error(kind: str, id_: str, error_type: str, message: str | None = None) -> dict[str, Any]:
    item = {"errorType": error_type} | ({} if message is None else {"message": message})
    return {"type": kind, "id": id_, "errors": [item]}


async def test_connection_init_is_acknowledged_with_the_timeout(aws: Aws) -> None:
    socket = await aws.connect()
    assert socket.raw.protocol == PROTOCOL
    assert await socket.request(type="connection_init") == {"type": "connection_ack", "connectionTimeoutMs": 300_000}
    assert aws.local.connections == 1


@pytest.mark.parametrize("padded", [False, True])
async def test_the_authorization_may_be_padded_and_come_first(aws: Aws, padded: bool) -> None:
    for host in ("h", "hh", "hhh"):
        socket = await aws.connect(credentials({"host": host, **KEY}, padded=padded), PROTOCOL)
        assert socket.raw.protocol == PROTOCOL
        assert (await socket.request(type="connection_init"))["type"] == "connection_ack"


async def test_ordinary_headers_can_authorize(aws: Aws) -> None:
    socket = await aws.connect(PROTOCOL, headers=KEY)
    assert (await socket.subscribe("s", "/AsyncEvents/a"))["type"] == "subscribe_success"


@pytest.mark.parametrize(
    ("protocols", "code", "error_type"),
    [
        ([PROTOCOL, credentials({"host": "h", "x-api-key": "da2-wrong"})], 401, "UnauthorizedException"),
        ([PROTOCOL, credentials({"host": "h", "Authorization": "AWS4-HMAC-SHA256"})], 401, "UnauthorizedException"),
        ([PROTOCOL, credentials({"x-api-key": "da2-local"})], 400, "BadRequestException"),
        ([PROTOCOL, credentials({"host": "h"})], 400, "BadRequestException"),
        ([PROTOCOL, "header-abcde"], 400, "BadRequestException"),
        ([PROTOCOL, "header-WzFd"], 400, "BadRequestException"),
        ([PROTOCOL], 400, "BadRequestException"),
        ([credentials({"host": "h", **KEY})], 400, "NoProtocolError"),
    ],
)
async def test_a_rejected_connection_gets_an_error_frame_and_closes(
    aws: Aws, protocols: list[str], code: int, error_type: str
) -> None:
    socket = await aws.connect(*protocols)
    frame = await socket.receive()
    assert frame["type"] == "connection_error"
    assert (frame["errors"][0]["errorCode"], frame["errors"][0]["errorType"]) == (code, error_type)
    assert await socket.closed() == 1000
    assert aws.local.connections == 0


async def test_an_event_is_one_string_with_no_channel_and_each_event_is_a_frame(aws: Aws) -> None:
    socket = await aws.connect()
    assert await socket.subscribe("s", "AsyncEvents/a/") == {"type": "subscribe_success", "id": "s"}
    await aws.publish("/AsyncEvents/a", ['{"n": 1}', '{"n": 2}'])
    assert await socket.receive() == {"type": "data", "id": "s", "event": '{"n": 1}'}
    assert await socket.receive() == {"type": "data", "id": "s", "event": '{"n": 2}'}


async def test_a_wildcard_matches_every_level_below_and_not_the_channel_itself(aws: Aws) -> None:
    socket = await aws.connect()
    await socket.subscribe("all", "/AsyncEvents/*")
    await socket.subscribe("deep", "/AsyncEvents/i/*")
    await aws.publish("/AsyncEvents", ['"not matched"'])
    await aws.publish("/AsyncEvents/i", ['"one"'])
    await aws.publish("/AsyncEvents/i/a/b/c", ['"two"'])
    await aws.publish("/AsyncEvents/I/a", ['"case"'])
    frames = [await socket.receive() for _ in range(4)]
    assert sorted((frame["id"], frame["event"]) for frame in frames) == [
        ("all", '"case"'),
        ("all", '"one"'),
        ("all", '"two"'),
        ("deep", '"two"'),
    ]


async def test_one_channel_subscribed_twice_gives_two_frames(aws: Aws) -> None:
    socket = await aws.connect()
    await socket.subscribe("s1", "/AsyncEvents/a")
    await socket.subscribe("s2", "/AsyncEvents/a")
    await aws.publish("/AsyncEvents/a", ["1"])
    assert {(await socket.receive())["id"], (await socket.receive())["id"]} == {"s1", "s2"}


@pytest.mark.parametrize(
    "channel", ["*", "/*", "/AsyncEvents/*/a", "/AsyncEvents/a*", "/AsyncEvents/**", "/AsyncEvents/1/2/3/4/*", None]
)
async def test_a_subscription_to_an_invalid_channel_is_a_bad_request(aws: Aws, channel: Any) -> None:
    socket = await aws.connect()
    expected = error("subscribe_error", "s", "BadRequestException", "Invalid Channel Format")
    assert await socket.subscribe("s", channel) == expected
    assert aws.local.subscriptions == 0


async def test_a_subscription_to_an_unknown_namespace_is_unauthorized_without_a_message(aws: Aws) -> None:
    socket = await aws.connect()
    assert await socket.subscribe("s", "/Other/*") == error("subscribe_error", "s", "UnauthorizedException")


@pytest.mark.parametrize("authorization", [None, {}, {"x-api-key": "da2-wrong"}, "da2-local"])
@pytest.mark.parametrize("kind", ["subscribe", "publish"])
async def test_each_operation_needs_the_key(aws: Aws, kind: str, authorization: Any) -> None:
    socket = await aws.connect()
    frame = {"type": kind, "id": "s", "channel": "/AsyncEvents/a", "events": ["1"], "authorization": authorization}
    expected = error(f"{kind}_error", "s", "UnauthorizedException", "You are not authorized to make this call.")
    assert await socket.request(**frame) == expected


async def test_a_duplicate_subscription_id_is_rejected_and_the_first_subscription_stays(aws: Aws) -> None:
    socket = await aws.connect()
    await socket.subscribe("s", "/AsyncEvents/a")
    response = await socket.subscribe("s", "/AsyncEvents/b")
    assert (response["type"], response["errors"][0]["errorType"]) == ("subscribe_error", "DuplicatedOperationError")
    await aws.publish("/AsyncEvents/a", ["1"])
    assert (await socket.receive())["event"] == "1"


async def test_the_201st_subscription_is_rejected(aws: Aws) -> None:
    socket = await aws.connect()
    for number in range(200):
        assert (await socket.subscribe(f"s{number}", "/AsyncEvents/a"))["type"] == "subscribe_success"
    response = await socket.subscribe("s200", "/AsyncEvents/a")
    assert response["errors"][0]["errorType"] == "MaxSubscriptionsReachedError"
    assert aws.local.subscriptions == 200


async def test_no_events_arrive_after_unsubscribe_and_the_id_can_be_used_again(aws: Aws) -> None:
    socket = await aws.connect()
    await socket.subscribe("s", "/AsyncEvents/a")
    assert await socket.request(type="unsubscribe", id="s") == {"type": "unsubscribe_success", "id": "s"}
    await aws.publish("/AsyncEvents/a", ["1"])
    expected = error("unsubscribe_error", "s", "UnknownOperationError", "Unknown operation id s")
    assert await socket.request(type="unsubscribe", id="s") == expected
    assert (await socket.subscribe("s", "/AsyncEvents/a"))["type"] == "subscribe_success"


async def test_a_publisher_gets_its_response_before_its_own_event(aws: Aws) -> None:
    socket = await aws.connect()
    await socket.subscribe("s", "/AsyncEvents/a")
    response = await socket.request(type="publish", id="p", channel="/AsyncEvents/a", events=["1"], **AUTHORISED)
    assert (response["type"], response["id"], response["failed"]) == ("publish_success", "p", [])
    assert await socket.receive() == {"type": "data", "id": "s", "event": "1"}


async def test_six_events_have_their_own_error_on_the_websocket(aws: Aws) -> None:
    socket = await aws.connect()
    response = await socket.request(type="publish", id="p", channel="/AsyncEvents/a", events=["1"] * 6, **AUTHORISED)
    assert response == error("publish_error", "p", "InvalidInputError", "input exceeded 5 event limit")


async def test_a_publish_to_an_unknown_namespace_is_unauthorized_on_the_websocket(aws: Aws) -> None:
    socket = await aws.connect()
    response = await socket.request(type="publish", id="p", channel="/Other/a", events=["1"], **AUTHORISED)
    assert response == error("publish_error", "p", "UnauthorizedException")


@pytest.mark.parametrize(
    "text", ["nope", "[]", "{}", '{"type":"x"}', '{"type":"subscribe"}', '{"type":"subscribe","id":"a b"}', b"\x00"]
)
async def test_an_invalid_message_gets_an_error_and_the_connection_stays_open(aws: Aws, text: str | bytes) -> None:
    socket = await aws.connect()
    async with asyncio.timeout(DEADLINE):
        await (socket.raw.send_bytes(text) if isinstance(text, bytes) else socket.raw.send_str(text))
    frame = await socket.receive()
    assert (frame["type"], frame["errors"][0]["errorType"]) == ("error", "UnsupportedOperation")
    assert (await socket.request(type="connection_init"))["type"] == "connection_ack"


async def test_unknown_members_of_a_frame_are_ignored(aws: Aws) -> None:
    socket = await aws.connect()
    assert (await socket.request(type="connection_init", payload={}, more=1))["type"] == "connection_ack"


async def test_keep_alives_need_no_response(aws: Aws) -> None:
    aws.local.realtime.keep_alive_s = 0.01
    aws.local.realtime.connection_timeout_ms = 1234
    socket = await aws.connect()
    assert await socket.request(type="connection_init") == {"type": "connection_ack", "connectionTimeoutMs": 1234}
    assert [await socket.receive() for _ in range(3)] == [{"type": "ka"}] * 3


async def test_a_dropped_connection_closes_with_the_given_code(aws: Aws) -> None:
    socket = await aws.connect()
    await socket.subscribe("s", "/AsyncEvents/a")
    closed = asyncio.create_task(socket.closed())
    await aws.local.drop_connections(1012)
    assert (aws.local.connections, aws.local.subscriptions) == (0, 0)
    assert await closed == 1012


async def test_code_1006_drops_a_connection_without_a_close_frame(aws: Aws) -> None:
    socket = await aws.connect()
    await socket.request(type="connection_init")
    await aws.local.drop_connections(1006)
    assert await socket.closed() == 1006


async def test_the_subscriptions_of_a_closed_connection_are_removed(aws: Aws) -> None:
    socket = await aws.connect()
    await socket.subscribe("s", "/AsyncEvents/a")
    assert (aws.local.connections, aws.local.subscriptions) == (1, 1)
    async with asyncio.timeout(DEADLINE):
        await socket.raw.close()
    await until(lambda: aws.local.connections == 0)
    assert aws.local.subscriptions == 0
    assert not aws.local._events._subscribers
    assert (await aws.publish("/AsyncEvents/a", ["1"]))[0] == 200


async def test_a_client_that_does_not_read_is_dropped_and_does_not_delay_others(aws: Aws) -> None:
    aws.local.realtime.max_outbox_chars = 1_000_000
    slow = await aws.connect()
    await slow.subscribe("s", "/AsyncEvents/a")
    assert slow.raw._conn is not None
    assert slow.raw._conn.transport is not None
    slow.raw._conn.transport.pause_reading()
    event = json.dumps("x" * 200_000)
    async with asyncio.timeout(DEADLINE):
        while aws.local.connections:
            assert (await aws.publish("/AsyncEvents/a", [event] * 5))[0] == 200
    assert aws.local.subscriptions == 0
    other = await aws.connect()
    assert (await other.subscribe("s", "/AsyncEvents/a"))["type"] == "subscribe_success"
    slow.raw._conn.transport.abort()


async def test_a_client_that_reads_may_receive_any_amount_in_all(aws: Aws) -> None:
    aws.local.realtime.max_outbox_chars = 100_000
    socket = await aws.connect()
    await socket.subscribe("s", "/AsyncEvents/a")
    event = json.dumps("x" * 40_000)
    for _ in range(6):
        assert (await aws.publish("/AsyncEvents/a", [event]))[0] == 200
        assert (await socket.receive())["event"] == event
    assert aws.local.connections == 1


async def test_a_plain_get_is_a_bad_request(aws: Aws) -> None:
    async with asyncio.timeout(DEADLINE), aws.session.get(aws.local.realtime_url.replace("ws:", "http:")) as response:
        assert response.status == 400


async def test_a_frame_above_the_limit_closes_the_connection(aws: Aws) -> None:
    socket = await aws.connect()
    async with asyncio.timeout(DEADLINE):
        await socket.raw.send_str("x" * 3_000_000)
    assert await socket.closed() == aiohttp.WSCloseCode.MESSAGE_TOO_BIG

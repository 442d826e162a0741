from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from service.local import Faults
from service.local.appsync_events import AppSyncEvents, EventsError
from tests.local.conftest import KEY

if TYPE_CHECKING:
    from service.local.appsync_events import AuthModes
    from tests.local.conftest import Aws

UNAUTHORISED = {"errorType": "UnauthorizedException", "message": "You are not authorized to make this call."}
BAD_CHANNEL = {"errorType": "BadRequestException", "message": "Invalid Channel Format"}


async def test_a_publish_lists_every_event_with_its_index_and_a_unique_identifier(aws: Aws) -> None:
    status, body = await aws.publish("/AsyncEvents/a", ['{"n":1}', "true", '"text"'])
    assert (status, body["failed"]) == (200, [])
    assert [item["index"] for item in body["successful"]] == [0, 1, 2]
    assert len({item["identifier"] for item in body["successful"]}) == 3


@pytest.mark.parametrize(
    "headers", [{}, {"x-api-key": "da2-other"}, {"Authorization": "AWS4-HMAC-SHA256 Credential=a"}]
)
async def test_a_publish_without_the_key_is_unauthorized(aws: Aws, headers: dict[str, str]) -> None:
    assert await aws.publish("/AsyncEvents/a", ["1"], headers) == (401, {"errors": [UNAUTHORISED]})


SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=any/20261123/eu-west-1/appsync/aws4_request, "
    f"SignedHeaders=content-type;host;x-amz-date, Signature={'0' * 64}",
    "X-Amz-Date": "20261123T000000Z",
}
AS_SENT = SIGNED | {"Host": "127.0.0.1", "Content-Type": "application/json"}


async def test_any_well_formed_signature_is_authorized(aws: Aws) -> None:
    assert (await aws.publish("/AsyncEvents/a", ["1"], SIGNED))[0] == 200


@pytest.mark.parametrize(
    ("name", "part", "other"),
    [
        ("Authorization", "/appsync/", "/states/"),
        ("Authorization", "20261123", "20261122"),
        ("Authorization", "host;", ""),
        ("Authorization", ";x-amz-date", ""),
        ("Authorization", "content-type;", "content-type;not-shown;"),
        ("Authorization", "=00", "="),
        ("X-Amz-Date", "T000000Z", ""),
    ],
)
async def test_a_malformed_signature_is_unauthorized(aws: Aws, name: str, part: str, other: str) -> None:
    headers = SIGNED | {name: SIGNED[name].replace(part, other)}
    assert headers != SIGNED
    assert await aws.publish("/AsyncEvents/a", ["1"], headers) == (401, {"errors": [UNAUTHORISED]})


@pytest.mark.parametrize(
    ("call", "allowed", "refused"),
    [("connect", AS_SENT, KEY), ("subscribe", AS_SENT, KEY), ("publish", KEY, AS_SENT)],
)
def test_each_kind_of_call_has_its_own_auth_modes(call: Any, allowed: dict[str, str], refused: dict[str, str]) -> None:
    modes: AuthModes = {"connect": ["AWS_IAM"], "subscribe": ["AWS_IAM"], "publish": ["API_KEY"]}
    events = AppSyncEvents("AsyncEvents", KEY["x-api-key"], Faults(), modes)
    events.authorize(allowed, call)
    with pytest.raises(EventsError):
        events.authorize(refused, call)


async def test_an_unknown_namespace_is_unauthorized_without_a_message(aws: Aws) -> None:
    assert await aws.publish("/Other/a", ["1"]) == (401, {"errors": [{"errorType": "UnauthorizedException"}]})


@pytest.mark.parametrize(
    "channel",
    [
        "",
        "/",
        "//AsyncEvents",
        "AsyncEvents//a",
        "/AsyncEvents/a_b",
        "/AsyncEvents/-a",
        "/AsyncEvents/a-",
        "/AsyncEvents/*",
        "/AsyncEvents/" + "a" * 51,
        "/AsyncEvents/1/2/3/4/5",
        "/AsyncEvents/a\n",
        "/AsyncEvents/é",
        7,
        None,
    ],
)
async def test_an_invalid_channel_is_a_bad_request(aws: Aws, channel: Any) -> None:
    assert await aws.publish(channel, ["1"]) == (400, {"errors": [BAD_CHANNEL]})


@pytest.mark.parametrize("channel", ["AsyncEvents", "AsyncEvents/", "/AsyncEvents/" + "a" * 50, "/AsyncEvents/1/2/3/4"])
async def test_a_valid_channel_is_accepted(aws: Aws, channel: str) -> None:
    assert (await aws.publish(channel, ["1"]))[0] == 200


async def test_six_events_are_too_many(aws: Aws) -> None:
    error = {"errorType": "BadRequestException", "message": "Input exceeded 5 event limit"}
    assert await aws.publish("/AsyncEvents/a", ["1"] * 6) == (400, {"errors": [error]})


@pytest.mark.parametrize("events", [[], None, "1", {"a": 1}, [{"a": 1}], ["{"], ["1", "nope"], [1], ["NaN"]])
async def test_events_other_than_a_list_of_json_texts_are_a_bad_request(aws: Aws, events: Any) -> None:
    status, body = await aws.publish("/AsyncEvents/a", events)
    assert (status, body["errors"][0]["errorType"]) == (400, "BadRequestException")


@pytest.mark.parametrize("body", ["", "nope", "[]", "1"])
async def test_a_body_other_than_a_json_object_is_a_bad_request(aws: Aws, body: str) -> None:
    status, response = await aws.post(body)
    assert (status, response["errors"][0]["errorType"]) == (400, "BadRequestException")


async def test_an_event_above_the_limit_fails_by_itself_with_status_200(aws: Aws) -> None:
    socket = await aws.connect()
    await socket.subscribe("s", "/AsyncEvents/a")
    status, body = await aws.publish("/AsyncEvents/a", ['"' + "a" * 1_000_000 + '"', '"small"'])
    assert status == 200
    assert [(item["index"], item["code"], item["message"]) for item in body["failed"]] == [
        (0, "EventTooLargeException", "Transformed event is larger than 240KB")
    ]
    assert [item["index"] for item in body["successful"]] == [1]
    assert await socket.receive() == {"type": "data", "id": "s", "event": '"small"'}


async def test_an_event_of_exactly_the_limit_is_published(aws: Aws) -> None:
    status, body = await aws.publish("/AsyncEvents/a", ['"' + "a" * (240 * 1024 - 2) + '"'])
    assert (status, body["failed"]) == (200, [])


async def test_the_content_type_and_the_amz_encoding_are_ignored(aws: Aws) -> None:
    body = json.dumps({"channel": "AsyncEvents", "events": ["1"]})
    for extra in ({"Content-Type": "text/plain;charset=UTF-8"}, {"Content-Encoding": "amz-1.0"}):
        status, _ = await aws.post(body, KEY | extra)
        assert status == 200


async def test_an_event_with_an_unpaired_surrogate_arrives_unchanged(aws: Aws) -> None:
    socket = await aws.connect()
    await socket.subscribe("s", "/AsyncEvents/a")
    await aws.publish("/AsyncEvents/a", ['"\ud83d"'])
    assert (await socket.receive())["event"] == '"\ud83d"'

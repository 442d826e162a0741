from __future__ import annotations

import json
import re
from typing import Any

import pytest

from service.appsync import ErrorDetail
from service.appsync.protocol import (
    DEFAULT_SILENCE_TIMEOUT_S,
    Acknowledged,
    Confirmed,
    ConnectionRefused,
    Counters,
    Data,
    ErrorReported,
    Malformed,
    Protocol,
    ProtocolEvent,
    SubscribeRefused,
    Unsubscribed,
)


class Wire:
    """A protocol with its own clock that takes messages as dicts."""

    def __init__(self) -> None:
        self.now = 0.0
        self.counters = Counters()
        self.protocol = Protocol(self.now, self.counters)

    def receive(self, kind: str, **members: Any) -> ProtocolEvent | None:
        return self.protocol.receive(json.dumps({"type": kind, **members}), self.now)

    def subscribe(self) -> str:
        return self.protocol.subscribe("/default/*", {})[0]

    def subscribed(self) -> str:
        id_ = self.subscribe()
        assert self.receive("subscribe_success", id=id_) == Confirmed(id_)
        return id_


@pytest.fixture
def wire() -> Wire:
    return Wire()


def test_the_first_frame_is_connection_init(wire: Wire) -> None:
    assert json.loads(wire.protocol.initiate()) == {"type": "connection_init"}


def test_the_acknowledgement_sets_the_silence_timeout(wire: Wire) -> None:
    assert wire.protocol.deadline == DEFAULT_SILENCE_TIMEOUT_S
    wire.now = 2.0
    assert wire.receive("connection_ack", connectionTimeoutMs=5000) == Acknowledged(5.0)
    assert wire.protocol.acknowledged
    assert wire.protocol.deadline == 7.0


@pytest.mark.parametrize(
    "members", [{}, {"connectionTimeoutMs": 0}, {"connectionTimeoutMs": "5000"}, {"connectionTimeoutMs": True}]
)
def test_an_acknowledgement_without_a_valid_timeout_keeps_the_default(wire: Wire, members: dict[str, Any]) -> None:
    assert wire.receive("connection_ack", **members) == Acknowledged(DEFAULT_SILENCE_TIMEOUT_S)


def test_a_second_acknowledgement_is_ignored(wire: Wire) -> None:
    wire.receive("connection_ack")
    assert wire.receive("connection_ack", connectionTimeoutMs=1000) is None
    assert wire.protocol.timeout == 1.0


def test_a_connection_is_silent_once_a_keep_alive_is_overdue(wire: Wire) -> None:
    wire.receive("connection_ack", connectionTimeoutMs=300_000)
    assert not wire.protocol.is_silent(wire.now + 61)  # one is due every 60 seconds
    assert wire.protocol.is_silent(wire.now + 90)


@pytest.mark.parametrize("frame", ['{"type":"ka"}', "nonsense", '{"type":"new"}', '{"type":"data","id":"9"}', b"\xff"])
def test_any_frame_moves_the_deadline(wire: Wire, frame: str | bytes) -> None:
    wire.protocol.receive(frame, 10.0)
    assert wire.protocol.deadline == 10.0 + DEFAULT_SILENCE_TIMEOUT_S


def test_a_subscribe_frame_has_id_channel_and_authorization(wire: Wire) -> None:
    id_, frame = wire.protocol.subscribe("/default/*", {"host": "h", "x-api-key": "k"})
    assert json.loads(frame) == {
        "type": "subscribe",
        "id": id_,
        "channel": "/default/*",
        "authorization": {"host": "h", "x-api-key": "k"},
    }
    assert re.fullmatch(r"[a-zA-Z0-9\-_+]{1,128}", id_)


def test_ids_are_never_reused(wire: Wire) -> None:
    assert len({wire.subscribe() for _ in range(100)}) == 100


def test_a_subscription_is_live_from_its_success_to_its_unsubscribe(wire: Wire) -> None:
    id_ = wire.subscribe()
    assert wire.protocol.live == frozenset()
    assert wire.receive("subscribe_success", id=id_) == Confirmed(id_)
    assert wire.protocol.live == {id_}
    assert json.loads(wire.protocol.unsubscribe(id_)) == {"type": "unsubscribe", "id": id_}
    assert wire.protocol.live == frozenset()
    assert wire.receive("unsubscribe_success", id=id_) == Unsubscribed(id_)


def test_only_a_live_subscription_can_be_unsubscribed(wire: Wire) -> None:
    pending = wire.subscribe()
    with pytest.raises(ValueError, match="live"):
        wire.protocol.unsubscribe(pending)
    ended = wire.subscribed()
    wire.protocol.unsubscribe(ended)
    with pytest.raises(ValueError, match="live"):
        wire.protocol.unsubscribe(ended)
    with pytest.raises(ValueError, match="live"):
        wire.protocol.unsubscribe("unknown")


def test_a_repeated_success_confirms_once(wire: Wire) -> None:
    id_ = wire.subscribed()
    assert wire.receive("subscribe_success", id=id_) is None
    assert wire.counters.unknown_ids == 0


def test_a_subscription_that_is_unknown_to_the_service_counts_as_ended(wire: Wire) -> None:
    id_ = wire.subscribed()
    wire.protocol.unsubscribe(id_)
    assert wire.receive("unsubscribe_error", id=id_, errors=[{"errorType": "UnknownOperationError"}]) == Unsubscribed(
        id_
    )


def test_a_refusal_ends_a_pending_and_a_live_subscription(wire: Wire) -> None:
    pending, live = wire.subscribe(), wire.subscribed()
    errors = [{"errorType": "UnauthorizedException", "message": "no"}]
    details = (ErrorDetail("UnauthorizedException", None, "no"),)
    assert wire.receive("subscribe_error", id=pending, errors=errors) == SubscribeRefused(pending, details)
    assert wire.receive("subscribe_error", id=live, errors=errors) == SubscribeRefused(live, details)
    assert wire.protocol.live == frozenset()


@pytest.mark.parametrize(
    ("event", "texts"),
    [
        ('{"a":1}', ['{"a":1}']),
        (['{"a":1}'], ['{"a":1}']),
        (["1", "2"], ["1", "2"]),
        ('{"a":"\\ud800"}', ['{"a":"\\ud800"}']),
        ('{"a":"\ud800"}', ['{"a":"\ud800"}']),
    ],
)
def test_an_event_is_a_string_or_an_array_of_strings(wire: Wire, event: object, texts: list[str]) -> None:
    for id_ in (wire.subscribe(), wire.subscribed()):
        data = wire.receive("data", id=id_, event=event)
        assert isinstance(data, Data)
        assert (data.id, list(data.events)) == (id_, texts)


@pytest.mark.parametrize("event", [None, 1, {"a": 1}, [1], ["1", None]])
def test_any_other_event_is_malformed(wire: Wire, event: object) -> None:
    assert wire.receive("data", id=wire.subscribed(), event=event) == Malformed("data without an event")


def test_an_event_after_unsubscribe_is_skipped_and_counted(wire: Wire) -> None:
    id_ = wire.subscribed()
    wire.protocol.unsubscribe(id_)
    assert wire.receive("data", id=id_, event="1") is None
    assert wire.receive("data", id="unknown", event="1") is None
    assert wire.counters.unknown_ids == 2


@pytest.mark.parametrize(
    ("entry", "detail"),
    [
        ({"errorType": "T", "errorCode": 401, "message": "m"}, ErrorDetail("T", 401, "m")),
        ({"errorType": "T"}, ErrorDetail("T")),
        ({"errorCode": "401"}, ErrorDetail(code=401)),
        ({"errorCode": "x"}, ErrorDetail()),
        ({"errorCode": "9" * 5000}, ErrorDetail()),
        ({"errorCode": "²"}, ErrorDetail()),
        ({"errorCode": True, "errorType": 5, "message": []}, ErrorDetail()),
        ({}, ErrorDetail()),
    ],
)
def test_every_member_of_an_error_may_be_absent_or_of_another_type(
    wire: Wire, entry: dict[str, Any], detail: ErrorDetail
) -> None:
    assert wire.receive("connection_error", errors=[entry, "odd"]) == ConnectionRefused((detail,))


@pytest.mark.parametrize("errors", [None, {}, "text", 3])
def test_errors_that_are_not_an_array_are_ignored(wire: Wire, errors: object) -> None:
    assert wire.receive("error", errors=errors) == ErrorReported(())


def test_an_errors_message_is_never_part_of_a_text() -> None:
    detail = ErrorDetail("T", 400, "x-amz-security-token:secret")
    assert str(detail) == "T (400)"
    assert "secret" not in repr(detail)


@pytest.mark.parametrize(
    ("detail", "refusal"),
    [
        (ErrorDetail("UnauthorizedException"), True),
        (ErrorDetail("New", 403), True),
        (ErrorDetail("LimitExceededError"), False),
        (ErrorDetail(code=500), False),
    ],
)
def test_a_refusal_is_recognised_by_code_or_type(detail: ErrorDetail, *, refusal: bool) -> None:
    assert detail.is_refusal is refusal


def test_unknown_types_are_counted(wire: Wire) -> None:
    assert wire.receive("brand_new") is None
    assert (wire.counters.unknown_types, wire.counters.malformed, wire.counters.frames) == (1, 0, 1)


def test_a_keep_alive_has_no_event(wire: Wire) -> None:
    assert wire.receive("ka") is None


def test_a_protocol_has_its_own_counters_by_default() -> None:
    protocol = Protocol(0.0)
    protocol.receive("", 0.0)
    assert protocol.counters.malformed == 1


@pytest.mark.parametrize(("milliseconds", "seconds"), [(0.9, DEFAULT_SILENCE_TIMEOUT_S), (1, 0.001), (1.5, 0.0015)])
def test_the_shortest_silence_timeout_is_a_millisecond(wire: Wire, milliseconds: float, seconds: float) -> None:
    assert wire.receive("connection_ack", connectionTimeoutMs=milliseconds) == Acknowledged(seconds)

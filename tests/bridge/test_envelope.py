from __future__ import annotations

import json

import pytest

from service.bridge.envelope import MAX_INPUT_BYTES, same_event
from service.errors import (
    BodyTooLarge,
)
from tests.support.stage import stage


async def test_the_input_is_the_contracts_envelope() -> None:
    async with stage() as made:
        answer = await made.submit('{"nome": "\u00e9"}', 0)
        assert json.loads(made.endpoint.calls[0][1]["input"]) == {
            "id": answer.execution_id,
            "event": '{"nome": "\u00e9"}',
            "reply": {"channel": f"ns/me/{answer.execution_id}"},
        }


async def test_an_input_one_byte_over_the_limit_is_too_large() -> None:
    async with stage() as made:
        envelope = len(json.dumps({"id": f"exec-{'0' * 36}", "event": "", "reply": {"channel": ""}}).replace(" ", ""))
        envelope += len(f"ns/me/exec-{'0' * 36}")
        await made.submit("x" * (MAX_INPUT_BYTES - envelope), 0)
        assert len(made.endpoint.calls[0][1]["input"]) == MAX_INPUT_BYTES
        with pytest.raises(BodyTooLarge):
            await made.submit("x" * (MAX_INPUT_BYTES - envelope + 1), 0)
        made.assert_nothing_in_flight()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a": 1, "b": [true, null]}', '{"b":[true,null],"a":1}'),
        ('{"a": {"b": 1, "c": 2}}', '{"a":{"c":2,\n"b":1}}'),
        (r'"\u00e9\/"', '"é/"'),
        ("[1.10, 12345678901234567890123, 1e-400]", "[1.10,12345678901234567890123,1e-400]"),
        ("9" * 5000, " " + "9" * 5000),
        ("[" * 200 + "]" * 200, " " + "[" * 200 + "]" * 200),
    ],
)
def test_events_with_the_same_value_are_the_same(one: str, other: str) -> None:
    assert same_event(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("[1, 2]", "[2, 1]"),
        ("1", "1.0"),
        ("1e2", "100"),
        ("0.1", "0.10"),
        ("-0", "0"),
        ("1", '"1"'),
        ("1", "true"),
        ("0", "false"),
        ("12345678901234567890123", "12345678901234567890124"),
        ('{"a": 1}', '{"a": 1, "b": null}'),
        ('"a"', '"A"'),
        ("{", "{ "),
        ("[" * 100_000, " " + "[" * 100_000),
    ],
)
def test_events_with_another_value_are_not(one: str, other: str) -> None:
    assert not same_event(one, other)

from __future__ import annotations

import json

import msgspec
import pytest

from service.bridge.reply import decode


def test_the_output_keeps_its_text() -> None:
    reply = decode('{"id": "a", "status": "SUCCEEDED", "output": {"n": 1.50e2}, "more": 1}')
    assert isinstance(reply.output, msgspec.Raw)
    assert (reply.id, reply.status, bytes(reply.output)) == ("a", "SUCCEEDED", b'{"n": 1.50e2}')


@pytest.mark.parametrize("error", ["\ud800", "\udc00 cut"])
def test_text_with_a_lone_surrogate_is_decoded(error: str) -> None:
    reply = decode(json.dumps({"id": "a", "status": "FAILED", "error": error, "outputText": None}))
    assert (reply.error, reply.output_text) == (error, None)


@pytest.mark.parametrize(
    "event", ["", "[]", '{"id": 1, "status": "FAILED"}', '{"id": "a"}', '{"id": "a", "status": "\\ud800"', "[" * 10_000]
)
def test_what_is_no_reply_is_refused(event: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        decode(event)

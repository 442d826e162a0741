from __future__ import annotations

import json

import pytest

from service.bridge.envelope import MAX_INPUT_BYTES
from service.errors import (
    BodyTooLarge,
)
from tests.support.stage import stage


async def test_the_input_is_the_contracts_envelope() -> None:
    async with stage() as made:
        answer = await made.bridge.submit('{"nome": "\u00e9"}', 0)
        assert json.loads(made.endpoint.calls[0][1]["input"]) == {
            "id": answer.execution_id,
            "event": '{"nome": "\u00e9"}',
            "reply": {"channel": f"ns/me/{answer.execution_id}"},
        }


async def test_an_input_one_byte_over_the_limit_is_too_large() -> None:
    async with stage() as made:
        envelope = len(json.dumps({"id": f"exec-{'0' * 36}", "event": "", "reply": {"channel": ""}}).replace(" ", ""))
        envelope += len(f"ns/me/exec-{'0' * 36}")
        await made.bridge.submit("x" * (MAX_INPUT_BYTES - envelope), 0)
        assert len(made.endpoint.calls[0][1]["input"]) == MAX_INPUT_BYTES
        with pytest.raises(BodyTooLarge):
            await made.bridge.submit("x" * (MAX_INPUT_BYTES - envelope + 1), 0)
        made.assert_nothing_in_flight()

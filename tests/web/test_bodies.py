from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest

from service.web import bodies
from tests.support.front import JSON, NAMES, front


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({"nome completo": "A B"}, {"id": "e", "nome completo": "A B"}),
        ({}, {"id": "e"}),
        ({"id": "e", "a": 1}, {"id": "e", "a": 1}),
        ({"id": "order-7", "a": 1}, {"id": "e", "output": {"id": "order-7", "a": 1}}),
        ([1, 2], {"id": "e", "output": [1, 2]}),
        ("text", {"id": "e", "output": "text"}),
        (None, {"id": "e", "output": None}),
    ],
)
def test_a_result_has_the_execution_id_and_the_whole_output(output: Any, expected: dict[str, Any]) -> None:
    for text in (json.dumps(output), json.dumps(output, indent=2), json.dumps(output, separators=(",", ":"))):
        assert json.loads(bodies.result("e", text.encode())) == expected


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ('{"n":12345678901234567890123,"x":1e400,"y":1.0}', '{"id":"e","n":12345678901234567890123,"x":1e400,"y":1.0}'),
        ('{"id":"\\ud800"}', '{"id":"e","output":{"id":"\\ud800"}}'),
        ("0.10", '{"id":"e","output":0.10}'),
    ],
)
def test_an_output_that_python_cannot_represent_is_passed_on_unchanged(output: str, expected: str) -> None:
    assert bodies.result("e", output.encode()) == expected.encode()


@pytest.mark.parametrize("encoding", ["compress", "gzip, gzip", "x"])
async def test_an_unknown_content_encoding_is_rejected_with_the_supported_ones(encoding: str) -> None:
    async with front() as it:
        headers = JSON | {"Content-Encoding": encoding}
        async with it.client.post("/event", data=b"{}", headers=headers, compress=None) as response:
            body = await response.json(content_type=None)
            assert (response.status, body["type"].rpartition(":")[2]) == (415, "unsupported-encoding")
            assert response.headers["Accept-Encoding"] == "gzip, deflate, identity"
        it.stage.assert_nothing_in_flight()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity", "Identity"])
async def test_each_supported_content_encoding_is_read(encoding: str) -> None:
    body = json.dumps(NAMES).encode()
    sent = {"gzip": gzip.compress(body), "deflate": zlib.compress(body)}.get(encoding, body)
    async with front() as it:
        headers = JSON | {"Content-Encoding": encoding}
        assert (await it.post_and_reply({}, json=None, data=sent, headers=headers)).status == 200


async def test_the_supported_content_encodings_are_named() -> None:
    async with front() as it:
        headers = JSON | {"Content-Encoding": "compress"}
        async with it.client.post("/event", data=b"{}", headers=headers) as response:
            assert response.headers["Accept-Encoding"] == "gzip, deflate, identity"
            assert (await response.json())["detail"] == "Use one of these content encodings: gzip, deflate, identity."

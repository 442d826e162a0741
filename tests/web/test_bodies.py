from __future__ import annotations

import json
from typing import Any

import pytest

from service.web import bodies


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

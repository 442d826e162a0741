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
def test_a_result_holds_the_executions_id_and_all_of_its_output(output: Any, expected: dict[str, Any]) -> None:
    assert json.loads(bodies.result("e", output)) == expected

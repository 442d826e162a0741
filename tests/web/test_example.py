from __future__ import annotations

from typing import Any

import pytest

from service.web.example import example


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (True, {}),
        ({"type": "string"}, "text"),
        ({"type": ["integer", "null"], "minimum": 3}, 3),
        ({"const": 7}, 7),
        ({"default": 8}, 8),
        ({"examples": [9]}, 9),
        ({"type": "array", "minItems": 1, "items": {"type": "boolean"}}, [True]),
        ({"required": ["a"], "properties": {"a": {"type": "number"}}}, {"a": 1.5}),
    ],
)
def test_an_example_is_made_from_simple_keywords(schema: Any, expected: Any) -> None:
    assert example(schema) == expected

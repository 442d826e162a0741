from __future__ import annotations

import re
from typing import Any

import pytest

from service.local.asl.intrinsic_functions import FUNCTIONS


def apply(name: str, *arguments: Any) -> Any:
    return FUNCTIONS[f"States.{name}"](*arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "value"),
    [
        ("ArrayContains", ([True], 1), False),
        ("ArrayContains", ([{"a": 1}], {"a": 1}), True),
        ("ArrayUnique", ([1, True, 1, "1", {"a": 1}, {"a": 1}],), [1, True, "1", {"a": 1}]),
        ("ArrayRange", (3, 1, -1), [3, 2, 1]),
        ("ArrayRange", (1, 4, 2), [1, 3]),
        ("MathAdd", (1.5, 2), 4),
        ("MathAdd", (-1.5, 0), -1),
        ("StringSplit", ("a,,b", ","), ["a", "b"]),
        ("StringSplit", ("a]b^c-d", "]^-"), ["a", "b", "c", "d"]),
        ("StringSplit", ("abc", ""), ["abc"]),
        ("StringToJson", ("",), None),
        ("Format", ("{} {}", True, [1, "a", None]), "true [1, a, null]"),
        ("Format", ("{}", {"a": "x", "b": {"c": [1.5]}}), "{a=x, b={c=[1.5]}}"),
        ("Hash", ({"a": 1}, "MD5"), "bb6cb5c68df4652941caf652a366f2d8"),
    ],
)
def test_values(name: str, arguments: tuple[Any, ...], value: Any) -> None:
    result = apply(name, *arguments)
    assert (result, type(result)) == (value, type(value))


def test_random_numbers_are_in_their_range_and_repeat_with_a_seed() -> None:
    assert {apply("MathRandom", 1, 3) for _ in range(100)} == {1, 2}
    assert apply("MathRandom", 1, 10**9, 7) == apply("MathRandom", 1, 10**9, 7)


def test_uuids_differ() -> None:
    one, other = apply("UUID"), apply("UUID")
    assert one != other
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", one)

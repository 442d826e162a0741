"""The intrinsic functions of the States Language; each raises ValueError or TypeError for arguments it does not take.

Source: AWS Step Functions Developer Guide, "Intrinsic functions".
"""

from __future__ import annotations

import base64
import hashlib
import inspect
import math
import random
import re
import uuid
from typing import TYPE_CHECKING, Final, TypeVar

from service.local.json_text import dumps, loads

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.local.json_text import Json

    Kind = TypeVar("Kind")

_MAX_RANGE: Final = 1000  # items that ArrayRange may make
_MAX_TEXT: Final = 10_000  # characters that Base64Encode, Base64Decode and Hash take
_ALGORITHMS: Final = ("MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512")
_FORMAT = re.compile(r"\\([{}])|(\{\})")


def _written(value: Json) -> str:
    """Write a value as States.Format does: objects and arrays in the form of Java."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}={_written(member)}" for name, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_written(item) for item in value) + "]"
    return value if isinstance(value, str) else dumps(value)


def _format(template: Json, *values: Json) -> str:
    parts = iter(values)
    count = sum(match[2] is not None for match in _FORMAT.finditer(_text(template)))
    if count != len(values):
        raise ValueError(f"the template has {count} places for {len(values)} values")
    return _FORMAT.sub(lambda match: match[1] or _written(next(parts)), template)


def _string_to_json(text: Json) -> Json:
    return loads(_text(text)) if text else None


def _json_to_string(value: Json) -> str:
    return dumps(value)


def _array(*values: Json) -> list[Json]:
    return list(values)


def _array_partition(array: Json, size: Json) -> list[Json]:
    items, step = _list(array), _whole(size)
    if step < 1:
        raise ValueError("the size of a part must be 1 or more")
    return [items[start : start + step] for start in range(0, len(items), step)]


def _array_contains(array: Json, value: Json) -> bool:
    return any(_same(item, value) for item in _list(array))


def _array_range(first: Json, last: Json, step: Json) -> list[int]:
    start, end, by = _whole(first), _whole(last), _whole(step)
    if by == 0:
        raise ValueError("the step must not be 0")
    numbers = range(start, end + (1 if by > 0 else -1), by)
    if len(numbers) > _MAX_RANGE:
        raise ValueError(f"the range has more than {_MAX_RANGE} items")
    return list(numbers)


def _array_get_item(array: Json, index: Json) -> Json:
    number = _whole(index)
    if number < 0:
        raise ValueError("the index must be 0 or more")
    return _list(array)[number]


def _array_length(array: Json) -> int:
    return len(_list(array))


def _array_unique(array: Json) -> list[Json]:
    unique: list[Json] = []
    for item in _list(array):
        if not any(_same(item, other) for other in unique):
            unique.append(item)
    return unique


def _base64_encode(text: Json) -> str:
    return base64.b64encode(_short(text).encode()).decode()


def _base64_decode(text: Json) -> str:
    return base64.b64decode(_short(text), validate=True).decode()


def _hash(data: Json, algorithm: Json) -> str:
    if algorithm not in _ALGORITHMS:
        raise ValueError(f"the algorithm must be one of {', '.join(_ALGORITHMS)}")
    content = _short(data if isinstance(data, str) else dumps(data)).encode()
    return hashlib.new(algorithm.replace("-", ""), content, usedforsecurity=False).hexdigest()


def _json_merge(first: Json, second: Json, deep: Json) -> dict[str, Json]:
    if deep is not False:
        raise ValueError("only shallow merging is supported: the third argument must be false")
    if not (isinstance(first, dict) and isinstance(second, dict)):
        raise TypeError("both arguments must be objects")
    return first | second


def _math_random(first: Json, last: Json, seed: Json = None) -> int:
    start, end = _whole(first), _whole(last)
    return random.Random(seed).randrange(start, end)  # noqa: S311 - not for secrets


def _math_add(first: Json, second: Json) -> int:
    return _whole(first) + _whole(second)


def _string_split(text: Json, separators: Json) -> list[str]:
    """Split at each of the characters; empty parts are dropped, as AWS does."""
    if not _text(separators):
        return [_text(text)]
    return [part for part in re.split(f"[{re.escape(separators)}]", _text(text)) if part]


def _uuid() -> str:
    return str(uuid.uuid4())


FUNCTIONS: Final[dict[str, Callable[..., Json]]] = {
    "States.Format": _format,
    "States.StringToJson": _string_to_json,
    "States.JsonToString": _json_to_string,
    "States.Array": _array,
    "States.ArrayPartition": _array_partition,
    "States.ArrayContains": _array_contains,
    "States.ArrayRange": _array_range,
    "States.ArrayGetItem": _array_get_item,
    "States.ArrayLength": _array_length,
    "States.ArrayUnique": _array_unique,
    "States.Base64Encode": _base64_encode,
    "States.Base64Decode": _base64_decode,
    "States.Hash": _hash,
    "States.JsonMerge": _json_merge,
    "States.MathRandom": _math_random,
    "States.MathAdd": _math_add,
    "States.StringSplit": _string_split,
    "States.UUID": _uuid,
}


def _arity(function: Callable[..., Json]) -> tuple[int, float]:
    parameters = inspect.signature(function).parameters.values()
    plain = [parameter for parameter in parameters if parameter.kind is not parameter.VAR_POSITIONAL]
    needed = sum(parameter.default is parameter.empty for parameter in plain)
    return needed, len(plain) if len(plain) == len(parameters) else math.inf


ARITIES: Final = {name: _arity(function) for name, function in FUNCTIONS.items()}
"""How many arguments each function takes, at least and at most."""


def _same(one: Json, other: Json) -> bool:
    """Compare as JSON does, for which `true` is not 1."""
    return bool(one == other) and isinstance(one, bool) is isinstance(other, bool)


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise TypeError("a string is needed")
    return value


def _short(value: Json) -> str:
    if len(_text(value)) > _MAX_TEXT:
        raise ValueError(f"the text has more than {_MAX_TEXT} characters")
    return str(value)


def _list(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise TypeError("an array is needed")
    return value


def _whole(value: Json) -> int:
    """Return a number, rounded to a whole one if it is not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a number is needed")
    return math.floor(value + 0.5)

"""What a definition reads: the paths in it, and what it seems to expect at each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from service.local.asl.jsonpath import reference_steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.local.json_text import Json

_PATH = re.compile(
    r"\$(?:\$\.Execution\.Input|\$\.Map\.Item\.Value|[^\W\d]\w*)?"
    r"(?:\.?\[(?:[^\[\]]|\[[^\[\]]*\])*\]|\.[^\s.\[\](){}*?,:;'\"@&|<>=!+~^`\\$/%#]+|\.\*)*"
)
_JSONATA = re.compile(
    r"\$(?:states\.(?:input|result|context\.Execution\.Input|context\.Map\.Item\.Value)|\w+)((?:\.\w+|\[\d+\])+)"
)
_FILTER = re.compile(r"@((?:\.[\w-]+)+)\s*(?:==\s*(?:'([^']*)'|\"([^\"]*)\"|([\w-]+))|>\s*(\d+))?")
_IN_CALLS = {
    "States.StringToJson": "json",
    "States.ArrayLength": "list",
    "States.ArrayGetItem": "list",
    "States.ArrayPartition": "list",
    "States.ArrayContains": "list",
    "States.ArrayUnique": "list",
    "States.MathAdd": "number",
    "States.ArrayRange": "number",
    "States.MathRandom": "number",
    "States.JsonMerge": "object",
}
_FIELDS = {
    "ItemsPath": "list",
    "SecondsPath": "number",
    "TimeoutSecondsPath": "number",
    "HeartbeatSecondsPath": "number",
    "MaxConcurrencyPath": "number",
    "ToleratedFailureCountPath": "number",
    "TimestampPath": "timestamp",
}


class Read(NamedTuple):
    """A place that is read: names and indexes from the root, and what is expected there.

    `want` is a kind (`text`, `number`, `list`, `json`, `timestamp`, `boolean`, `object`),
    `presence` if it is only tested, or `constants`.
    """

    steps: tuple[str | int, ...]
    want: str
    constants: tuple[Json, ...] = ()


def reads(source: Json) -> Iterator[Read]:
    """Yield everything that a definition reads."""
    if isinstance(source, dict):
        if "Variable" in source:
            yield from _comparison(source)
        for field, value in source.items():
            if isinstance(value, str) and (field.endswith(("Path", ".$")) or field == "Variable"):
                yield from _paths(value, _FIELDS.get(field, "text"))
            elif isinstance(value, str) and value.startswith("{%"):
                yield from _jsonata(value, "list" if field == "Items" else "text")
            else:
                yield from reads(value)
    elif isinstance(source, list):
        for value in source:
            yield from reads(value)
    elif isinstance(source, str) and source.startswith("{%"):
        yield from _jsonata(source, "text")


def _comparison(rule: dict[str, Any]) -> Iterator[Read]:
    for operator, value in rule.items():
        if operator == "IsPresent":
            yield from _paths(rule["Variable"], "presence")
        want = {"Str": "text", "Num": "number", "Boo": "boolean", "Tim": "timestamp"}.get(operator[:3])
        if operator in {"IsNumeric", "IsBoolean", "IsString", "IsTimestamp"}:
            want = {"IsN": "number", "IsB": "boolean", "IsS": "text", "IsT": "timestamp"}[operator[:3]]
        if want is None or not isinstance(rule["Variable"], str):
            continue
        if operator.endswith("Path"):
            for path in (rule["Variable"], value):
                yield from _paths(path, want)
        elif operator.startswith("Is"):
            yield from _paths(rule["Variable"], want)
        else:
            constant = value.replace("*", "x") if operator == "StringMatches" else value
            if operator.startswith("NumericGreaterThan"):
                constant = value + 1
            elif operator.startswith("NumericLessThan"):
                constant = value - 1
            yield from _paths(rule["Variable"], "constants", constant)


def _paths(text: str, want: str, *constants: Json) -> Iterator[Read]:
    for match in _PATH.finditer(text):
        call = re.search(r"(States\.\w+)\(\s*(?:'[^']*'\s*,\s*)?$", text[: match.start()])
        wanted = _IN_CALLS.get(call[1], want) if call else want
        yield from _path(re.sub(r"^\$(\$\.(Execution\.Input|Map\.Item\.Value)|\w+)?", "", match[0]), wanted, constants)


def _path(rest: str, want: str, constants: tuple[Json, ...]) -> Iterator[Read]:
    """Yield the places of one path; of a query, those that would make it find something."""
    rest = rest.removesuffix(".length()").replace("..", ".")
    steps = reference_steps(rest)
    if steps is not None:
        yield Read(steps, want, constants)
        return
    filters = re.search(r"\.?\[\?\((.*?)\)\]|\.?\[(?:\*|-?\d*:-?\d*)\]|\.\*|\.?\[.*?,.*?\]", rest)
    if filters is None:
        return
    before = reference_steps(rest[: filters.start()])
    if before is None:
        return
    after = reference_steps(rest[filters.end() :])
    yield Read((*before, 0, *(after or ())), want if after else "text", constants)
    for path, single, double, word, number in _FILTER.findall(filters[1] or ""):
        inner = reference_steps(path) or ()
        value: Json = int(number) + 1 if number else single or double or word or "x"
        yield Read((*before, 0, *inner), "constants", (value,))


def _jsonata(text: str, want: str) -> Iterator[Read]:
    for match in _JSONATA.finditer(text):
        steps = reference_steps(match[1])
        if steps:
            before = text[: match.start()]
            wanted = "json" if before.endswith("$parse(") else want
            wanted = "list" if re.search(r"\$(count|map|filter|sum|partition|append)\(\s*$", before) else wanted
            constant = re.match(r"\s*(?:=|in)\s*(?:'([^']*)'|\"([^\"]*)\"|(true|false)|(\d+))", text[match.end() :])
            if constant is None:
                yield Read(steps, wanted)
            else:
                single, double, boolean, number = constant.groups()
                value: Json = int(number) if number else boolean == "true" if boolean else single or double
                yield Read(steps, "constants", (value,))

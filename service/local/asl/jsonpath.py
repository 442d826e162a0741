"""Paths of the JSONPath query language: reference paths, which name one place, and queries, which find any number.

Almost every path in practice is a reference path, which is followed here. Queries (wildcards, slices, filters) are left
to a library, which is loaded when the first definition has one. AWS evaluates paths with Jayway JsonPath, which allows
some spellings that RFC 9535 does not; they are rewritten.
Source: Amazon States Language specification, "Paths" and "Reference Paths"; Jayway JsonPath, "Operators".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from service.local.asl.scope import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.local.asl.scope import Scope
    from service.local.json_text import Json

_ROOT = re.compile(r"\$\$|\$(?P<variable>[^\W\d]\w*)?")
_STEP = re.compile(
    r"\.?\[(?P<index>-?\d+)\]"
    r"|\.?\[\s*'(?P<single>(?:[^'\\]|\\.)*)'\s*\]"
    r'|\.?\[\s*"(?P<double>(?:[^"\\]|\\.)*)"\s*\]'
    r"|\.(?P<name>(?:[^\s.\[\](){}*?,:'\"@\\]|\\.)+)"
)
_LENGTH = re.compile(r"\.length\(\)$")
# Quoted text is matched first, so that it is left alone.
_JAYWAY_SPELLINGS = re.compile(
    r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
    r"|(?P<dot>(?<!\.)\.(?=\[))"  # $.[0], $.items.[*]
    r"|(?P<operator>(?:==|!=|<=|>=|<|>)\s*)(?P<word>(?!(?:true|false|null)\b)[^\W\d][\w-]*)(?=\s*(?:\)|&&|\|\|))"
)
_MAX_LIST_INDEX: Final = 10_000  # of what a ResultPath creates


class InvalidPathError(ValueError):
    """The text is not a path."""


class MissingError(EvaluationError):
    """The data has nothing at a path."""

    def __init__(self, path: str) -> None:
        super().__init__(f"the JSONPath '{path}' could not be found in the input", "States.Runtime")


class Path:
    """A compiled path: `$` of the data, `$$` of the context object, or `$name` of a variable."""

    def __init__(self, text: str) -> None:
        """Compile; InvalidPathError if it is not a path."""
        self.text = text = text.strip()
        root = _ROOT.match(text)
        if root is None:
            raise InvalidPathError(f"{text!r} is not a path: it must begin with $")
        self._of_context = root[0] == "$$"
        self.variable: str | None = root["variable"]
        """The variable at which the path begins; None for `$` and `$$`."""
        self._measures = _LENGTH.search(text) is not None
        rest = _LENGTH.sub("", text)[root.end() :]
        steps = reference_steps(rest)
        self._steps = steps or ()
        self._query: Callable[[Json], Json] | None = None if steps is not None else _query(f"${rest}", text)

    @property
    def is_reference(self) -> bool:
        """Whether it names one place."""
        return self._query is None and not self._measures

    def find(self, scope: Scope, root: Json) -> Json:
        """Return what is there; a query returns a list. MissingError if a reference path leads nowhere."""
        if self._of_context:
            root = scope.context
        elif self.variable is not None:
            if self.variable not in scope.variables:
                raise MissingError(self.text)
            root = scope.variables[self.variable]
        found = self._follow(root) if self._query is None else self._query(root)
        if not self._measures:
            return found
        return len(found) if isinstance(found, list | dict | str) else None

    def _follow(self, node: Json) -> Json:
        step: Any
        try:
            for step in self._steps:
                if not isinstance(node, dict if isinstance(step, str) else list):
                    raise MissingError(self.text)
                node = node[step]
        except LookupError:
            raise MissingError(self.text) from None
        return node


class ReferencePath:
    """A path that names one place, in which it can put a value: ResultPath."""

    def __init__(self, text: str) -> None:
        """Compile; InvalidPathError unless it is a reference path of the data."""
        steps = reference_steps(text.strip()[1:]) if text.strip().startswith("$") else None
        if steps is None or any(isinstance(step, int) and step < 0 for step in steps):
            raise InvalidPathError(f"{text!r} is not a reference path")
        self.text = text
        self._steps = steps

    def put(self, data: Json, value: Json) -> Json:
        """Return the data with this value in that place, which is created if need be; the data stays unchanged.

        EvaluationError if something else than an object or a list is in the way.
        """
        return self._put(data, self._steps, value)

    def _put(self, node: Json, steps: tuple[str | int, ...], value: Json) -> Json:
        if not steps:
            return value
        step, rest = steps[0], steps[1:]
        if isinstance(step, str):
            if not isinstance(node, dict | None):
                raise self._mismatch()
            members = dict(node or {})
            members[step] = self._put(members.get(step), rest, value)
            return members
        if not isinstance(node, list | None) or step > _MAX_LIST_INDEX:
            raise self._mismatch()
        items = list(node or ())
        items.extend([None] * (step + 1 - len(items)))
        items[step] = self._put(items[step], rest, value)
        return items

    def _mismatch(self) -> EvaluationError:
        return EvaluationError(
            f"the reference path '{self.text}' cannot be applied to the state's input", "States.ResultPathMatchFailure"
        )


def reference_steps(text: str) -> tuple[str | int, ...] | None:
    """Return the names and indexes that follow the `$` of a reference path; None for any other path."""
    steps: list[str | int] = []
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            return None
        position = match.end()
        if match["index"] is not None:
            steps.append(int(match["index"]))
        else:
            name = next(match[kind] for kind in ("name", "single", "double") if match[kind] is not None)
            steps.append(re.sub(r"\\(.)", r"\1", name))
    return tuple(steps)


def _query(path: str, text: str) -> Callable[[Json], Json]:
    import jsonpath  # noqa: PLC0415 - most definitions need no queries, and loading this takes a tenth of a second

    def rewrite(match: re.Match[str]) -> str:
        if match["dot"]:
            return ""
        return match[0] if match["word"] is None else f"{match['operator']}'{match['word']}'"

    try:
        compiled = jsonpath.compile(_JAYWAY_SPELLINGS.sub(rewrite, path))
    except jsonpath.JSONPathError as error:
        reason = str(error).partition("\n")[0].strip()
        raise InvalidPathError(f"{text!r} is not a valid JSONPath: {reason}") from error

    def find(data: Json) -> list[Json]:
        if not isinstance(data, dict | list):
            return []  # the library would parse text as JSON
        try:
            return list(compiled.findall(data))
        except jsonpath.JSONPathError as error:
            raise EvaluationError(f"the JSONPath '{text}' cannot be evaluated: {error}", "States.Runtime") from error

    return find

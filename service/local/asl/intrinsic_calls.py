"""Calls of intrinsic functions: `States.Format('Hello {}', $.name)`.

Source: Amazon States Language specification, "Intrinsic Functions".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from service.local.asl.intrinsic_functions import ARITIES, FUNCTIONS
from service.local.asl.jsonpath import InvalidPathError, Path
from service.local.asl.scope import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from service.local.asl.scope import Scope
    from service.local.json_text import Json

    Argument: TypeAlias = Callable[[Scope, Json], Json]

_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"(States\.\w+)\s*\(")
_LITERAL = re.compile(r"(?P<string>'(?:[^'\\]|\\.)*')|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|true|false|null")
_WORDS = {"true": True, "false": False, "null": None}
_MAX_CALLS = 10  # in one field


class InvalidCallError(ValueError):
    """The text is not a call of an intrinsic function."""


class Call:
    """A compiled call."""

    def __init__(self, name: str, arguments: Sequence[Argument], variables: set[str]) -> None:
        self.variables = variables
        """Variables that the paths in its arguments begin at."""
        self._name = name
        self._arguments = arguments
        self._function = FUNCTIONS[name]

    def evaluate(self, scope: Scope, root: Json) -> Json:
        """Return the function's value; EvaluationError States.IntrinsicFailure if it takes no such arguments."""
        values = [argument(scope, root) for argument in self._arguments]
        try:
            return self._function(*values)
        except (TypeError, ValueError, LookupError, OverflowError) as error:
            raise EvaluationError(f"{self._name}: {error}", "States.IntrinsicFailure") from error


def parse_call(text: str) -> Call:
    """Compile a call; InvalidCallError if it is not one."""
    parser = _Parser(text)
    call = parser.call()
    if parser.position < len(text):
        raise parser.fault("is followed by something else")
    if parser.calls > _MAX_CALLS:
        raise parser.fault(f"has more than {_MAX_CALLS} calls")
    return call


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self.position = 0
        self.calls = 0
        self._skip_space()

    def fault(self, reason: str) -> InvalidCallError:
        return InvalidCallError(f"{self._text!r} is not a call of an intrinsic function: it {reason}")

    def call(self) -> Call:
        match = _NAME.match(self._text, self.position)
        if match is None:
            raise self.fault(f"has no function at position {self.position}")
        name = match[1]
        if name not in FUNCTIONS:
            raise self.fault(f"names {name}, which does not exist")
        self.calls += 1
        self.position = match.end()
        arguments, variables = self._arguments(is_format=name == "States.Format")
        least, most = ARITIES[name]
        if not least <= len(arguments) <= most:
            raise self.fault(f"gives {name} {len(arguments)} arguments")
        return Call(name, arguments, variables)

    def _arguments(self, *, is_format: bool) -> tuple[list[Argument], set[str]]:
        arguments: list[Argument] = []
        variables: set[str] = set()
        self._skip_space()
        while not self._take(")"):
            if arguments and not self._take(","):
                raise self.fault(f"needs a comma or a bracket at position {self.position}")
            # `\{` and `\}` in a template are for States.Format itself.
            arguments.append(self._argument(variables, r"[^{}]" if is_format and not arguments else "."))
        return arguments, variables

    def _argument(self, variables: set[str], escaped: str) -> Argument:
        self._skip_space()
        if self._text.startswith("States.", self.position):
            call = self.call()
            variables |= call.variables
            return call.evaluate
        if self._text.startswith("$", self.position):
            path = self._path()
            variables |= {path.variable} if path.variable else set()
            return path.find
        match = _LITERAL.match(self._text, self.position)
        if match is None:
            raise self.fault(f"has no valid argument at position {self.position}")
        self.position = match.end()
        value = _literal(match, escaped)
        self._skip_space()
        return lambda _scope, _root: value

    def _path(self) -> Path:
        """Take a path: up to a comma or a closing bracket that is not a part of it."""
        start, depth, quote = self.position, 0, ""
        while self.position < len(self._text):
            character = self._text[self.position]
            if quote:
                if character == "\\":
                    self.position += 1
                elif character == quote:
                    quote = ""
            elif character in "'\"":
                quote = character
            elif character in "[(":
                depth += 1
            elif depth and character in "])":
                depth -= 1
            elif not depth and character in ",)":
                break
            self.position += 1
        try:
            return Path(self._text[start : self.position])
        except InvalidPathError as error:
            raise self.fault(f"has a path that is invalid: {error}") from error

    def _take(self, character: str) -> bool:
        if not self._text.startswith(character, self.position):
            return False
        self.position += 1
        self._skip_space()
        return True

    def _skip_space(self) -> None:
        match = _SPACE.match(self._text, self.position)
        self.position = match.end() if match else self.position


def _literal(match: re.Match[str], escaped: str) -> Json:
    if match["string"] is not None:
        return re.sub(rf"\\({escaped})", r"\1", match["string"][1:-1])
    if match["number"] is not None:
        return float(match[0]) if any(character in ".eE" for character in match[0]) else int(match[0])
    return _WORDS[match[0]]

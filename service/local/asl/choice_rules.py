"""The rules of a Choice in the JSONPath query language: comparisons of one variable, and their combinations.

Source: Amazon States Language specification, "Choice State", "Data-test expression".
"""

from __future__ import annotations

import operator
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from service.local.asl.jsonpath import MissingError, Path
from service.local.asl.scope import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from service.local.asl.fields import Fields
    from service.local.asl.scope import Scope
    from service.local.json_text import Json

    Test: TypeAlias = Callable[[Scope], bool]
    Convert: TypeAlias = Callable[[Json], Any]

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


class ComparisonRule:
    """A compiled rule."""

    def __init__(self, test: Test) -> None:
        self._test = test

    def evaluate(self, scope: Scope) -> bool:
        """Return whether the rule matches; EvaluationError if its variable is missing."""
        return self._test(scope)


def compile_rule(fields: Fields) -> ComparisonRule:
    """Remove and compile the test of a rule; faults go to the report."""
    return ComparisonRule(_test(fields))


def timestamp(value: Json) -> datetime | None:
    """Return the moment that a text means (RFC 3339 with an upper-case T and Z); None for anything else."""
    if not isinstance(value, str) or _TIMESTAMP.fullmatch(value) is None:
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _string(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Json) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _boolean(value: Json) -> bool | None:
    return value if isinstance(value, bool) else None


_ORDERS: Final = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "GreaterThan": operator.gt,
    "LessThanEquals": operator.le,
    "GreaterThanEquals": operator.ge,
}
_COMPARISONS: Final[dict[str, tuple[Convert, Callable[[Any, Any], bool]]]] = {
    f"{kind}{name}": (convert, compare)
    for kind, convert in (("String", _string), ("Numeric", _number), ("Timestamp", timestamp))
    for name, compare in _ORDERS.items()
} | {"BooleanEquals": (_boolean, operator.eq)}
_TYPE_TESTS: Final[dict[str, Convert]] = {
    "IsNumeric": _number,
    "IsString": _string,
    "IsBoolean": _boolean,
    "IsTimestamp": timestamp,
}
OPERATORS: Final = (
    *_COMPARISONS,
    *(f"{name}Path" for name in _COMPARISONS),
    *_TYPE_TESTS,
    *("StringMatches", "IsNull", "IsPresent", "And", "Or", "Not"),
)
"""Every field of a rule that tests something."""


def _never(_: Scope) -> bool:
    return False


def _test(fields: Fields) -> Test:
    present = [name for name in OPERATORS if name in fields]
    if len(present) != 1:
        reason = f"has {' and '.join(present)}: only one may be there" if present else "has no comparison"
        fields.fault("Variable", f"the rule {reason}")
        for name in (*present, "Variable"):
            fields.take(name, object, None)
        return _never
    (name,) = present
    if name in {"And", "Or"}:
        tests = [_combined(part) for part in fields.each(name)]
        if not tests:
            fields.fault(name, "must not be empty")
        combine = all if name == "And" else any
        return lambda scope: combine(test(scope) for test in tests)
    if name == "Not":
        negated = _combined(fields.part(f"{fields.where}, Not", fields.take("Not", dict)))
        return lambda scope: not negated(scope)
    variable = fields.path("Variable")
    return _never if variable is None else _of_variable(fields, name, variable)


def _combined(part: Fields) -> Test:
    part.take("Comment", str, "")
    test = _test(part)
    part.reject_unknown()
    return test


def _of_variable(fields: Fields, name: str, variable: Path) -> Test:
    if name == "IsPresent":
        wanted = fields.take(name, bool)
        return lambda scope: _present(variable, scope) is wanted
    if name == "IsNull":
        wanted = fields.take(name, bool)
        return lambda scope: (_value(variable, scope) is None) is wanted
    if name in _TYPE_TESTS:
        wanted, convert = fields.take(name, bool), _TYPE_TESTS[name]
        return lambda scope: (convert(_value(variable, scope)) is not None) is wanted
    if name == "StringMatches":
        pattern = _pattern(fields.take(name, str))
        return lambda scope: isinstance(text := _value(variable, scope), str) and pattern.fullmatch(text) is not None
    return _comparison(fields, name, variable)


def _comparison(fields: Fields, name: str, variable: Path) -> Test:
    convert, compare = _COMPARISONS[name.removesuffix("Path")]
    if name.endswith("Path"):
        other = fields.path(name)
        if other is None:
            return _never
        return lambda scope: _holds(compare, convert(_value(variable, scope)), convert(_value(other, scope)))
    constant = convert(fields.take(name, object, None))
    if constant is None:
        fields.fault(name, "has a value of the wrong type")
    return lambda scope: _holds(compare, convert(_value(variable, scope)), constant)


def _holds(compare: Callable[[Any, Any], bool], one: Any, other: Any) -> bool:
    """Compare; a value of another type makes the comparison false."""
    return one is not None and other is not None and compare(one, other)


def _value(variable: Path, scope: Scope) -> Json:
    try:
        return variable.find(scope, scope.focus)
    except MissingError as error:
        reason = f"Invalid path '{variable.text}': the choice state's condition path references an invalid value."
        raise EvaluationError(reason, "States.Runtime") from error


def _present(variable: Path, scope: Scope) -> bool:
    try:
        found = variable.find(scope, scope.focus)
    except MissingError:
        return False
    return variable.is_reference or bool(found)


def _pattern(text: str) -> re.Pattern[str]:
    r"""Compile a pattern in which `*` stands for any text, and `\*` and `\\` for themselves."""
    parts = re.findall(r"\\([*\\])|(\*)|(.)", text, re.DOTALL)
    return re.compile(
        "".join(".*" if star else re.escape(escaped or other) for escaped, star, other in parts), re.DOTALL
    )

"""What a query language has to provide, so that the parser and the interpreter need not know which one it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from service.local.asl.choice_rules import timestamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.local.asl.fields import Fields
    from service.local.asl.scope import DataFlow, Value
    from service.local.json_text import Json

_MAX_WAIT_S: Final = 99_999_999


class Kind(NamedTuple):
    """What a field may contain."""

    accepts: Callable[[Json], bool]
    name: str


class Language(Protocol):
    """The fields of one query language."""

    name: str

    def data(self, fields: Fields, kind: str) -> DataFlow:
        """Remove and compile the fields of a state of this type that say how data passes through it."""
        ...

    def rule_data(self, rule: Fields, state: DataFlow) -> DataFlow:
        """Do the same for an entry of Choices, given that of its state."""
        ...

    def catcher_data(self, catcher: Fields) -> DataFlow:
        """Do the same for an entry of Catch."""
        ...

    def condition(self, rule: Fields) -> Value:
        """Remove and compile the test of an entry of Choices."""
        ...

    def value(self, fields: Fields, field: str, kind: Kind) -> Value | None:
        """Remove and compile a field in whatever form the language has for it; None if there is none."""
        ...

    def template(self, fields: Fields, field: str) -> Value | None:
        """Remove and compile a field of any JSON with expressions in it; None if there is none."""
        ...

    def items(self, fields: Fields) -> Value | None:
        """Remove and compile the field that names the items of a Map; None if there is none."""
        ...

    def item_selector(self, fields: Fields) -> Value | None:
        """Remove and compile the field that makes the input of each iteration of a Map; None if there is none."""
        ...

    def not_taken(self, field: str) -> str:
        """Say why a state of this language has no such field."""
        ...


def is_number(value: Json) -> bool:
    """Return whether it is a number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_seconds(value: Json) -> bool:
    """Return whether a state may wait or run this long."""
    return is_number(value) and 0 <= value <= _MAX_WAIT_S


def is_count(value: Json) -> bool:
    """Return whether it is a whole number from 0."""
    return is_number(value) and value >= 0 and value == int(value)


SECONDS: Final = Kind(is_seconds, f"a number of seconds from 0 to {_MAX_WAIT_S}")
COUNT: Final = Kind(is_count, "a whole number, 0 or more")
PERCENTAGE: Final = Kind(lambda value: is_number(value) and 0 <= value <= 100, "a number from 0 to 100")
TEXT: Final = Kind(lambda value: isinstance(value, str), "a string")
TIMESTAMP: Final = Kind(lambda value: timestamp(value) is not None, "a timestamp such as 2030-01-02T03:04:05Z")
LIST: Final = Kind(lambda value: isinstance(value, list | dict), "an array or an object")

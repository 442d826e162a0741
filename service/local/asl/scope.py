"""What the expressions of one run of a state see, and what every compiled expression has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.local.json_text import Json


class EvaluationError(Exception):
    """A value cannot be computed, or is of the wrong kind.

    `error` is the name that the States Language gives this; empty if that depends on the state's query language.
    """

    def __init__(self, reason: str, error: str = "") -> None:
        super().__init__(reason)
        self.error = error


class Scope:
    """One run of a state: its input, the context object and the variables, and what it assigns."""

    __slots__ = ("assigned", "context", "focus", "input", "states", "variables")

    def __init__(self, data: Json, context: Json, variables: Mapping[str, Json]) -> None:
        self.input = data
        self.focus = data
        """What `$` means in JSONPath: the input, or what InputPath selects of it."""
        self.context = context
        self.variables = variables
        self.states = {"input": data, "context": context}
        """JSONata's `$states`."""
        self.assigned: Mapping[str, Json] = {}
        """The variables that the state sets when it ends."""

    def within(self, context: Json) -> Scope:
        """Return the same scope with another context object."""
        scope = Scope(self.input, context, self.variables)
        scope.focus = self.focus
        return scope


class Value(Protocol):
    """A compiled field: a constant or an expression of one of the query languages."""

    def evaluate(self, scope: Scope) -> Json:
        """Return the value; EvaluationError if there is none."""
        ...


class DataFlow(Protocol):
    """How data passes through a state: from its input to what it works on, and from the result to its output."""

    error: ClassVar[str]
    """The error of values that the query language cannot compute, or that are of the wrong kind."""

    def arguments(self, scope: Scope) -> Json:
        """Return what the state works on; EvaluationError if that cannot be computed."""
        ...

    def finish(self, scope: Scope, result: Json) -> Json:
        """Return the output for this result, and note what the state assigns.

        Output and Assign both see the variables as they were before. EvaluationError if one fails.
        """
        ...


class Constant:
    """A value without expressions."""

    def __init__(self, value: Json) -> None:
        self._value = value

    def evaluate(self, _: Scope) -> Json:
        """Return the value."""
        return self._value

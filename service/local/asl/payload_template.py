"""Payload templates: JSON values in which a field `name.$` gets its value from a path or an intrinsic function.

Source: Amazon States Language specification, "Payload Template".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.local.asl.intrinsic_calls import InvalidCallError, parse_call
from service.local.asl.jsonpath import InvalidPathError, Path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from service.local.asl.scope import Scope
    from service.local.json_text import Json

    Evaluate: TypeAlias = Callable[[Scope, Json], Json]


class PayloadTemplate:
    """A compiled payload template."""

    def __init__(self, source: Json) -> None:
        """Compile what can be compiled; `faults` has the rest."""
        self.faults: list[tuple[str, str]] = []
        """Where something is wrong, as the names that lead there, and what."""
        self.variables: set[str] = set()
        """Variables that the paths begin at."""
        self._source = source
        self._evaluate = self._compile(source, "")

    def fill(self, scope: Scope, root: Json) -> Json:
        """Return the value for this data; EvaluationError if a path leads nowhere or a function fails."""
        return self._source if self._evaluate is None else self._evaluate(scope, root)

    def evaluate(self, scope: Scope) -> Json:
        """Return the value for the state's input."""
        return self.fill(scope, scope.focus)

    def _compile(self, source: Json, where: str) -> Evaluate | None:
        """Return None for what has no expressions, which stays as it is."""
        if isinstance(source, dict):
            return self._object(source, where)
        if isinstance(source, list):
            items = [(value, self._compile(value, f"{where}[{index}]")) for index, value in enumerate(source)]
            if all(evaluate is None for _, evaluate in items):
                return None
            return lambda scope, root: [
                value if evaluate is None else evaluate(scope, root) for value, evaluate in items
            ]
        return None

    def _object(self, source: dict[str, Json], where: str) -> Evaluate | None:
        constants: dict[str, Json] = {}
        computed: dict[str, Evaluate] = {}
        for name, evaluate, value in self._members(source, where):
            if name in constants or name in computed:
                self.faults.append((f"{where}.{name}", "there are two fields of this name"))
            constants[name] = value  # keeps the order of the fields
            if evaluate is not None:
                computed[name] = evaluate
        if not computed and not any(name.endswith(".$") for name in source):
            return None
        return lambda scope, root: constants | {name: evaluate(scope, root) for name, evaluate in computed.items()}

    def _members(self, source: dict[str, Json], where: str) -> Iterator[tuple[str, Evaluate | None, Json]]:
        for field, value in source.items():
            if not field.endswith(".$"):
                yield field, self._compile(value, f"{where}.{field}"), value
                continue
            try:
                evaluate, variables = compile_dynamic(value)
            except (InvalidPathError, InvalidCallError) as error:
                self.faults.append((f"{where}.{field}", str(error)))
                continue
            self.variables |= variables
            yield field.removesuffix(".$"), evaluate, None


def compile_dynamic(source: Json) -> tuple[Evaluate, set[str]]:
    """Compile a path or a call of an intrinsic function, and name the variables in it.

    InvalidPathError or InvalidCallError if it is neither.
    """
    if isinstance(source, str) and source.lstrip().startswith("States."):
        call = parse_call(source)
        return call.evaluate, call.variables
    if not isinstance(source, str):
        raise InvalidPathError("must be a path or an intrinsic function")
    path = Path(source)
    return path.find, {path.variable} if path.variable else set()

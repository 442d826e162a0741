"""The fields of the JSON objects in a definition, and every fault that is found in them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from service.local.asl.jsonpath import InvalidPathError, Path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Set as AbstractSet

    from service.local.json_text import Json

_JSON_TYPES: Final = {str: "string", bool: "boolean", int: "number", float: "number", dict: "object", list: "array"}


class Report:
    """What is found in a definition."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        """Each with the state and the field, in the order of the definition."""
        self._scopes: list[set[str]] = [set()]
        """The variables that are assigned in the flow that is being compiled, after those of the flows around it."""
        self._assigned: list[tuple[Fields, AbstractSet[str], list[set[str]]]] = []
        self._used: list[tuple[Fields, str, AbstractSet[str]]] = []
        self._names: set[str] = set()

    def uses(self, fields: Fields, field: str, variables: AbstractSet[str]) -> None:
        """Note the variables that the expressions in a field use."""
        if variables:
            self._used.append((fields, field, variables))

    @contextmanager
    def flow(self, *, apart: bool = False) -> Iterator[None]:
        """Let the block compile a flow, whose variables it assigns; one `apart` does not see those around it."""
        around = self._scopes
        self._scopes = [set()] if apart else [*around, set()]
        try:
            yield
        finally:
            self._scopes = around

    def assigns(self, fields: Fields, variables: AbstractSet[str]) -> None:
        """Note the variables that the field Assign sets in this flow."""
        self._scopes[-1].update(variables)
        self._assigned.append((fields, variables, self._scopes[:-1]))

    def check_variables(self) -> None:
        """Find the variables that nothing assigns, and those that a flow and one around it assign."""
        known = {"states"}.union(*(variables for _, variables, _ in self._assigned))
        for fields, field, variables in self._used:
            if unknown := variables - known:
                fields.fault(field, f"uses undefined functions or variables: ${', $'.join(sorted(unknown))}")
        for fields, variables, around in self._assigned:
            for name in sorted(variables & set().union(*around)):
                fields.fault("Assign", f"${name} is assigned in an outer scope")

    def has_state(self, name: str) -> None:
        """Note a state; names must be unique in the whole definition, for histories and mocks know nothing else."""
        if name in self._names:
            self.faults.append(f"state {name!r}: there are two states of this name")
        self._names.add(name)


class Fields:
    """The fields of one JSON object.

    Whatever is wrong goes to the report, and a value of the right type stands in, so that the rest is checked, too.
    """

    def __init__(self, where: str, source: Json, report: Report) -> None:
        self.where = where
        self.report = report
        self.targets: list[tuple[Fields, str, str]] = []
        """Fields that name a state of the flow that this object is a part of, with that name."""
        if not isinstance(source, dict):
            report.faults.append(f"{where} must be an object")
            source, self.report = {}, Report()  # what follows from that is not worth a line
        self._remaining = dict(source)

    def fault(self, field: str, reason: str) -> None:
        """Report a fault."""
        self.report.faults.append(f"{self.where}, field {field}: {reason}")

    def __contains__(self, field: str) -> bool:
        return field in self._remaining

    def names(self) -> tuple[str, ...]:
        """Return the names of the fields that nothing has taken yet."""
        return tuple(self._remaining)

    def peek(self, field: str) -> Json:
        """Return a field and leave it where it is; None if there is none."""
        return self._remaining.get(field)

    def pop(self, field: str) -> Json:
        """Remove and return a field of any type that is known to be there."""
        return self._remaining.pop(field)

    def take(self, field: str, kind: type | tuple[type, ...], *default: Json) -> Json:
        """Remove and return a field; without a default it is required."""
        if field not in self._remaining:
            if default:
                return default[0]
            self.fault(field, "is missing")
        else:
            value = self._remaining.pop(field)
            if kind is object or (isinstance(value, kind) and isinstance(value, bool) is (kind is bool)):
                return value
            self.fault(field, f"has the wrong type ({_JSON_TYPES.get(type(value), 'null')})")
        return default[0] if default else kind() if isinstance(kind, type) else 0

    def target(self, field: str, *default: Json) -> Json:
        """Remove and return the name of a state that is to follow."""
        if self._remaining.get(field) == "":
            del self._remaining[field]
            self.fault(field, "must name a state")
        elif name := self.take(field, str, *default):
            self.targets.append((self, field, name))
            return name
        return default[0] if default else ""

    def path(self, field: str) -> Path | None:
        """Remove and compile a JSONPath that has to be there; None if it cannot be compiled."""
        text = self.take(field, str)
        if not text:
            return None
        try:
            path = Path(text)
        except InvalidPathError as error:
            self.fault(field, str(error))
            return None
        self.report.uses(self, field, {path.variable} if path.variable else set())
        return path

    def each(self, field: str, *default: Json) -> Iterator[Fields]:
        """Remove a list of objects; yield the fields of each."""
        for index, item in enumerate(self.take(field, list, *default)):
            yield self.part(f"{self.where}, {field}[{index}]", item)

    def part(self, where: str, source: Json) -> Fields:
        """Return the fields of an object that is a part of the same flow."""
        part = Fields(where, source, self.report)
        part.targets = self.targets
        return part

    def reject_unknown(self, reason: Callable[[str], str] = lambda _: "is not implemented") -> None:
        """Report the fields that nothing has taken; `reason` says why for each."""
        for field in self._remaining:
            self.fault(field, reason(field))

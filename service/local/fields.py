"""The fields of the JSON objects in a definition, and every fault that is found in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from service.local.expressions import Template, UnsupportedExpressionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from service.local.json_text import Json

_JSON_TYPES: Final = {str: "string", bool: "boolean", int: "number", float: "number", dict: "object", list: "array"}
UNUSABLE: Final = Template(None)
"""Stands for a template with a fault, or for one that is missing: a definition with a fault is never run."""


class Report:
    """What is found in a definition."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        """Each with the state and the field, in the order of the definition."""
        self.assigned: set[str] = {"states"}
        """Variables that a state assigns."""
        self._used: list[tuple[Fields, str, frozenset[str]]] = []

    def uses(self, fields: Fields, field: str, variables: frozenset[str]) -> None:
        """Note the variables that the expressions in a field use."""
        self._used.append((fields, field, variables))

    def check_variables(self) -> None:
        """Find the variables that nothing assigns."""
        for fields, field, variables in self._used:
            if unknown := variables - self.assigned:
                fields.fault(field, f"uses undefined functions or variables: ${', $'.join(sorted(unknown))}")


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

    def take(self, field: str, kind: type | tuple[type, ...], *default: Json) -> Json:
        """Remove and return a field; without a default it is required."""
        if field not in self._remaining:
            if default:
                return default[0]
            self.fault(field, "is missing")
        else:
            value = self._remaining.pop(field)
            if isinstance(value, kind) and isinstance(value, bool) is (kind is bool):
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

    def template(self, field: str, accepts: Callable[[Json], bool] = lambda _: True, rule: str = "") -> Template | None:
        """Remove and compile a field, None if there is none; a value without expressions must be accepted."""
        if field not in self._remaining:
            return None
        source = self._remaining.pop(field)
        if faults := list(_expression_faults(source, field)):
            for path, reason in faults:
                self.fault(path, reason)
            return UNUSABLE
        template = Template(source)
        if not (isinstance(source, str) and source.startswith("{%")) and not accepts(source):
            self.fault(field, rule)
        self.report.uses(self, field, template.variables)
        return template

    def required_template(
        self, field: str, accepts: Callable[[Json], bool] = lambda _: True, rule: str = ""
    ) -> Template:
        """Remove and compile a field that has to be there."""
        template = self.template(field, accepts, rule)
        if template is None:
            self.fault(field, "is missing")
            return UNUSABLE
        return template

    def assign(self) -> Template | None:
        """Remove and compile `Assign`, and note its variables."""
        source = self._remaining.get("Assign", {})
        if not isinstance(source, dict):
            del self._remaining["Assign"]
            self.fault("Assign", "must be an object")
            return None
        for name in source:
            if name == "states" or not re.fullmatch(r"[^\W\d]\w{0,79}", name):
                self.fault("Assign", f"{name!r} is not a valid variable name")
        self.report.assigned.update(source)
        return self.template("Assign")

    def each(self, field: str, *default: Json) -> Iterator[Fields]:
        """Remove a list of objects; yield the fields of each."""
        for index, item in enumerate(self.take(field, list, *default)):
            yield self.part(f"{self.where}, {field}[{index}]", item)

    def part(self, where: str, source: Json) -> Fields:
        """Return the fields of an object that is a part of the same flow."""
        part = Fields(where, source, self.report)
        part.targets = self.targets
        return part

    def reject_unknown(self) -> None:
        """Report the fields that nothing has taken."""
        for field in self._remaining:
            self.fault(field, "is not implemented")


def _expression_faults(source: Json, path: str) -> Iterator[tuple[str, str]]:
    """Yield the place of each expression that cannot be compiled, and why."""
    if isinstance(source, dict):
        for name, value in source.items():
            yield from _expression_faults(value, f"{path}.{name}")
    elif isinstance(source, list):
        for index, value in enumerate(source):
            yield from _expression_faults(value, f"{path}[{index}]")
    else:
        try:
            Template(source)
        except UnsupportedExpressionError as error:
            yield path, str(error)

"""The fields of states whose query language is JSONata: Arguments, Output, Assign, Condition.

Source: AWS Step Functions Developer Guide, "Transforming data with JSONata in Step Functions".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Final

from service.local.asl.expressions import Template, UnsupportedExpressionError
from service.local.asl.language import LIST, Kind
from service.local.asl.scope import Constant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from service.local.asl.fields import Fields
    from service.local.asl.scope import DataFlow, Scope, Value
    from service.local.json_text import Json

_OTHER_LANGUAGE: Final = re.compile(
    r"InputPath|OutputPath|ResultPath|ResultSelector|Parameters|Result|Variable|\w+Path"
)
_CONDITION: Final = Kind(lambda value: isinstance(value, bool), "a boolean")
_UNUSABLE: Final = Constant(None)  # of a field with a fault: a definition with a fault is never run


class JsonataValue:
    """A template that sees the variables and `$states`."""

    def __init__(self, template: Template) -> None:
        self._template = template

    def evaluate(self, scope: Scope) -> Json:
        """Evaluate every expression; EvaluationError if one fails or is undefined."""
        return self._template.evaluate({**scope.variables, "states": scope.states})


class JsonataData:
    """Arguments, Output and Assign, each of which may be missing."""

    error: ClassVar[str] = "States.QueryEvaluationError"

    def __init__(self, arguments: Value | None, output: Value | None, assign: Value | None) -> None:
        self._arguments = arguments
        self._output = output
        self._assign = assign

    def arguments(self, scope: Scope) -> Json:
        """Return Arguments, or else the input."""
        return scope.input if self._arguments is None else self._arguments.evaluate(scope)

    def finish(self, scope: Scope, result: Json) -> Json:
        """Return Output, or else the result."""
        assigned = {} if self._assign is None else self._assign.evaluate(scope)
        output = result if self._output is None else self._output.evaluate(scope)
        scope.assigned = assigned
        return output


class JsonataLanguage:
    """The fields of JSONata."""

    name = "JSONata"

    def data(self, fields: Fields, kind: str) -> DataFlow:
        """Compile Arguments, Output and Assign where the state's type has them."""
        arguments = self.template(fields, "Arguments") if kind in {"Task", "Parallel"} else None
        output = None if kind == "Fail" else self.template(fields, "Output")
        assign = None if kind in {"Fail", "Succeed"} else self._assign(fields)
        return JsonataData(arguments, output, assign)

    def rule_data(self, rule: Fields, _: DataFlow) -> DataFlow:
        """Compile Output and Assign."""
        return self.catcher_data(rule)

    def catcher_data(self, catcher: Fields) -> DataFlow:
        """Compile Output and Assign."""
        return JsonataData(None, self.template(catcher, "Output"), self._assign(catcher))

    def condition(self, rule: Fields) -> Value:
        """Compile Condition."""
        condition = self.value(rule, "Condition", _CONDITION)
        if condition is None:
            rule.fault("Condition", "is missing")
            return _UNUSABLE
        return condition

    def value(self, fields: Fields, field: str, kind: Kind) -> Value | None:
        """Compile a field, which is of this kind or an expression."""
        if field not in fields:
            return None
        source = fields.peek(field)
        if not (isinstance(source, str) and source.startswith("{%")) and not kind.accepts(source):
            fields.fault(field, f"must be {kind.name} or an expression")
        return self.template(fields, field)

    def template(self, fields: Fields, field: str) -> Value | None:
        """Compile a field of any JSON."""
        if field not in fields:
            return None
        source = fields.pop(field)
        if faults := list(_expression_faults(source, field)):
            for path, reason in faults:
                fields.fault(path, reason)
            return _UNUSABLE
        template = Template(source)
        fields.report.uses(fields, field, template.variables)
        return JsonataValue(template)

    def items(self, fields: Fields) -> Value | None:
        """Compile Items."""
        return self.value(fields, "Items", LIST)

    def item_selector(self, fields: Fields) -> Value | None:
        """Compile ItemSelector."""
        return self.template(fields, "ItemSelector")

    def not_taken(self, field: str) -> str:
        """Name the other language if the field belongs to it."""
        return "is a field of JSONPath, not JSONata" if _OTHER_LANGUAGE.fullmatch(field) else "is not implemented"

    def _assign(self, fields: Fields) -> Value | None:
        note_assigned(fields, lambda name: name)
        return self.template(fields, "Assign")


def note_assigned(fields: Fields, variable: Callable[[str], str]) -> None:
    """Check the names of the variables in `Assign`, if it is there, and note them; `variable` finds a field's."""
    source = fields.peek("Assign") if "Assign" in fields else {}
    if not isinstance(source, dict):
        fields.pop("Assign")
        fields.fault("Assign", "must be an object")
        return
    names = [variable(name) for name in source]
    for name in names:
        if name == "states" or not re.fullmatch(r"[^\W\d]\w{0,79}", name):
            fields.fault("Assign", f"{name!r} is not a valid variable name")
    fields.report.assigns(fields, set(names))


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

"""The fields of states whose query language is JSONPath: InputPath, Parameters, ResultSelector, ResultPath and so on.

Source: Amazon States Language specification, "Input and Output Processing"; AWS Step Functions Developer Guide,
"Passing data between states with variables".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final

from service.local.asl.choice_rules import compile_rule
from service.local.asl.intrinsic_calls import InvalidCallError
from service.local.asl.jsonata_language import note_assigned
from service.local.asl.jsonpath import InvalidPathError, Path, ReferencePath
from service.local.asl.payload_template import PayloadTemplate, compile_dynamic
from service.local.asl.scope import Constant, Scope

if TYPE_CHECKING:
    from service.local.asl.fields import Fields
    from service.local.asl.language import Kind
    from service.local.asl.payload_template import Evaluate
    from service.local.asl.scope import DataFlow, Value
    from service.local.json_text import Json

_OTHER_LANGUAGE: Final = {"Arguments", "Output", "Condition", "Items"}
_WITH_RESULT: Final = {"Task", "Parallel", "Map"}
_MAY_BE_CALLS: Final = {"ErrorPath", "CausePath"}


class Nothing:
    """`null` as InputPath or OutputPath, which selects an empty object, or as ResultPath, which drops the result."""


NOTHING: Final = Nothing()


class PathValue:
    """A path, or a call of an intrinsic function, that is applied to the state's input."""

    def __init__(self, find: Evaluate) -> None:
        self._find = find

    def evaluate(self, scope: Scope) -> Json:
        """Return what is there; EvaluationError if there is nothing."""
        return self._find(scope, scope.focus)


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonPathData:
    """The fields between a state's input and its output, each of which may be missing."""

    error: ClassVar[str] = "States.Runtime"

    input_path: Path | Nothing | None = None
    parameters: Value | None = None
    assign: PayloadTemplate | None = None
    selector: PayloadTemplate | None = None
    result_path: ReferencePath | Nothing | None = None
    output_path: Path | Nothing | None = None

    def arguments(self, scope: Scope) -> Json:
        """Select a part of the input and make Parameters of it."""
        scope.focus = _select(self.input_path, scope, scope.input)
        return scope.focus if self.parameters is None else self.parameters.evaluate(scope)

    def finish(self, scope: Scope, result: Json) -> Json:
        """Select of the result, put it into the input and select a part of that; Assign sees the whole result."""
        assigned = {} if self.assign is None else self.assign.fill(scope, result)
        output = result if self.selector is None else self.selector.fill(scope, result)
        if isinstance(self.result_path, Nothing):
            output = scope.input
        elif self.result_path is not None:
            output = self.result_path.put(scope.input, output)
        output = _select(self.output_path, scope, output)
        scope.assigned = assigned
        return output


def _select(path: Path | Nothing | None, scope: Scope, data: Json) -> Json:
    if path is None:
        return data
    return {} if isinstance(path, Nothing) else path.find(scope, data)


class JsonPathLanguage:
    """The fields of JSONPath."""

    name = "JSONPath"

    def data(self, fields: Fields, kind: str) -> DataFlow:
        """Compile the fields that the state's type has."""
        if kind == "Fail":
            return JsonPathData()
        parameters: Value | None = None
        if kind in {"Task", "Parallel", "Pass"}:
            parameters = self.template(fields, "Parameters")
        if kind == "Pass" and "Result" in fields:
            parameters = Constant(fields.pop("Result"))
        has_result = kind in _WITH_RESULT
        return JsonPathData(
            input_path=_path(fields, "InputPath"),
            parameters=parameters,
            assign=None if kind == "Succeed" else _assign(fields),
            selector=_template(fields, "ResultSelector") if has_result else None,
            result_path=_reference_path(fields) if has_result or kind == "Pass" else None,
            output_path=_path(fields, "OutputPath"),
        )

    def rule_data(self, rule: Fields, state: DataFlow) -> DataFlow:
        """Compile Assign; the rest is the same as that of the state."""
        assign = _assign(rule)
        return replace(state, assign=assign) if isinstance(state, JsonPathData) else state

    def catcher_data(self, catcher: Fields) -> DataFlow:
        """Compile ResultPath and Assign."""
        return JsonPathData(result_path=_reference_path(catcher), assign=_assign(catcher))

    def condition(self, rule: Fields) -> Value:
        """Compile a comparison, or a combination of some."""
        return compile_rule(rule)

    def value(self, fields: Fields, field: str, kind: Kind) -> Value | None:
        """Compile a constant field, or the field with `Path` after its name."""
        name = f"{field}Path"
        if field not in fields:
            return self._dynamic(fields, name) if name in fields else None
        if name in fields:
            fields.fault(name, f"and {field} must not both be there")
            fields.pop(name)
        value = fields.pop(field)
        if not kind.accepts(value):
            fields.fault(field, f"must be {kind.name}")
        return Constant(value)

    def template(self, fields: Fields, field: str) -> Value | None:
        """Compile a payload template."""
        return _template(fields, field)

    def items(self, fields: Fields) -> Value | None:
        """Compile ItemsPath."""
        return self._dynamic(fields, "ItemsPath") if "ItemsPath" in fields else None

    def item_selector(self, fields: Fields) -> Value | None:
        """Compile ItemSelector, or Parameters, as it was called before."""
        return _template(fields, "ItemSelector" if "ItemSelector" in fields else "Parameters")

    def not_taken(self, field: str) -> str:
        """Name the other language if the field belongs to it."""
        return "is a field of JSONata, not JSONPath" if field in _OTHER_LANGUAGE else "is not implemented"

    @staticmethod
    def _dynamic(fields: Fields, field: str) -> Value:
        if field not in _MAY_BE_CALLS:
            path = fields.path(field)
            return Constant(None) if path is None else PathValue(path.find)
        try:
            find, variables = compile_dynamic(fields.pop(field))
        except (InvalidPathError, InvalidCallError) as error:
            fields.fault(field, str(error))
            return Constant(None)
        fields.report.uses(fields, field, variables)
        return PathValue(find)


def _template(fields: Fields, field: str) -> PayloadTemplate | None:
    if field not in fields:
        return None
    template = PayloadTemplate(fields.pop(field))
    for where, reason in template.faults:
        fields.fault(f"{field}{where}", reason)
    fields.report.uses(fields, field, template.variables)
    return template


def _assign(fields: Fields) -> PayloadTemplate | None:
    note_assigned(fields, lambda name: name.removesuffix(".$"))
    return _template(fields, "Assign")


def _path(fields: Fields, field: str) -> Path | Nothing | None:
    if field not in fields:
        return None
    if fields.peek(field) is None:
        fields.pop(field)
        return NOTHING
    return fields.path(field)


def _reference_path(fields: Fields) -> ReferencePath | Nothing | None:
    if "ResultPath" not in fields:
        return None
    source = fields.peek("ResultPath")
    if source is None:
        fields.pop("ResultPath")
        return NOTHING
    text = fields.take("ResultPath", str)
    try:
        return ReferencePath(text)
    except InvalidPathError as error:
        fields.fault("ResultPath", str(error))
        return None

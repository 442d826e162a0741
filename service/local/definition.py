"""A parser for Amazon States Language: definition text in, checked states out.

Whatever the interpreter does not implement is rejected here by state and field, so that nothing is silently ignored.
Source: Amazon States Language specification and AWS Step Functions Developer Guide, "State machine structure".
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from service.local.expressions import Template, UnsupportedExpressionError
from service.local.json_text import Json, loads
from service.local.states import (
    Catcher,
    Choice,
    Fail,
    Flow,
    Machine,
    Parallel,
    Pass,
    Retrier,
    Retryable,
    Rule,
    State,
    Task,
    Wait,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_HTTP_INVOKE = re.compile(r"arn:[a-z-]+:states:::http:invoke")
_PLACEHOLDER = re.compile(r"\$\{(.*?)\}")
_JSON_TYPES = {str: "string", bool: "boolean", int: "number", float: "number", dict: "object", list: "array"}


class DefinitionError(ValueError):
    """A definition is invalid or uses something that the local AWS does not implement."""


def render(text: str, values: Mapping[str, str]) -> str:
    """Fill in `${name}` placeholders as Terraform's templatefile does; DefinitionError for an unknown name.

    Placeholders appear inside JSON strings, so values are escaped for them.
    """
    if unknown := set(_PLACEHOLDER.findall(text)) - set(values):
        raise DefinitionError(f"unknown placeholder: {', '.join(sorted(unknown))}")
    return _PLACEHOLDER.sub(lambda match: json.dumps(values[match[1]])[1:-1], text)


def parse(text: str) -> Machine:
    """Check and compile a definition; DefinitionError names the state and the field at fault."""
    try:
        source = loads(text)
    except ValueError as error:
        raise DefinitionError(f"the definition is not JSON: {error}") from error
    fields = _Fields("the definition", source)
    if fields.take("QueryLanguage", str, "JSONPath") != "JSONata":
        raise fields.error("QueryLanguage", "only JSONata is implemented")
    fields.take("Comment", str, "")
    fields.take("Version", str, "1.0")
    timeout = fields.take("TimeoutSeconds", int, None)
    machine = Machine(text, _flow(fields), timeout)
    unknown = _used_variables(machine.flow) - _assigned_variables(machine.flow) - {"states"}
    if unknown:
        raise DefinitionError(f"the definition uses undefined functions or variables: ${', $'.join(sorted(unknown))}")
    return machine


class _Fields:
    """The fields of one JSON object; fields that are not taken are rejected in the end."""

    def __init__(self, where: str, source: Json) -> None:
        self.where = where
        if not isinstance(source, dict):
            raise DefinitionError(f"{where} must be an object")
        self._remaining = dict(source)

    def error(self, field: str, reason: str) -> DefinitionError:
        return DefinitionError(f"{self.where}, field {field}: {reason}")

    def take(self, field: str, kind: type | tuple[type, ...], *default: Json) -> Json:
        """Remove and return a field; without a default it is required."""
        if field not in self._remaining:
            if default:
                return default[0]
            raise self.error(field, "is missing")
        value = self._remaining.pop(field)
        if not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool):
            raise self.error(field, f"has the wrong type ({_JSON_TYPES.get(type(value), 'null')})")
        return value

    def template(self, field: str) -> Template | None:
        if field not in self._remaining:
            return None
        try:
            return Template(self._remaining.pop(field))
        except UnsupportedExpressionError as error:
            raise self.error(field, str(error)) from error

    def required_template(self, field: str) -> Template:
        template = self.template(field)
        if template is None:
            raise self.error(field, "is missing")
        return template

    def assign(self) -> Template | None:
        if not isinstance(self._remaining.get("Assign", {}), dict):
            raise self.error("Assign", "must be an object")
        for name in self._remaining.get("Assign", ()):
            if name == "states" or not re.fullmatch(r"[^\W\d]\w{0,79}", name):
                raise self.error("Assign", f"{name!r} is not a valid variable name")
        return self.template("Assign")

    def each(self, field: str, *default: Json) -> Iterator[_Fields]:
        for index, item in enumerate(self.take(field, list, *default)):
            yield _Fields(f"{self.where}, {field}[{index}]", item)

    def reject_unknown(self) -> None:
        for field in self._remaining:
            raise self.error(field, "is not implemented")


def _flow(fields: _Fields) -> Flow:
    start_at = fields.take("StartAt", str)
    sources = fields.take("States", dict)
    fields.reject_unknown()
    states = {name: _state(_Fields(f"state {name!r}", source)) for name, source in sources.items()}
    for origin, target in [("StartAt", start_at), *((name, to) for name in states for to in _targets(states[name]))]:
        if target not in states:
            raise DefinitionError(f"{fields.where}: {origin!r} leads to state {target!r}, which does not exist")
    return Flow(start_at, states)


def _state(fields: _Fields) -> State:
    kind = fields.take("Type", str)
    fields.take("Comment", str, "")
    if fields.take("QueryLanguage", str, "JSONata") != "JSONata":
        raise fields.error("QueryLanguage", "only JSONata is implemented")
    state: State
    if kind == "Fail":
        state = Fail(fields.template("Error"), fields.template("Cause"))
        fields.reject_unknown()
        return state
    output, assign = fields.template("Output"), fields.assign()
    match kind:
        case "Succeed":
            state = Pass(output=output, assign=assign)
        case "Choice":
            state = Choice(
                rules=tuple(_rules(fields)), next=fields.take("Default", str, None), output=output, assign=assign
            )
        case "Pass":
            state = Pass(next=_next(fields), output=output, assign=assign)
        case "Wait":
            state = Wait(seconds=fields.required_template("Seconds"), next=_next(fields), output=output, assign=assign)
        case "Task":
            if not _HTTP_INVOKE.fullmatch(resource := fields.take("Resource", str)):
                raise fields.error("Resource", f"{resource!r} is not implemented; only http:invoke is")
            state = Task(
                timeout=fields.template("TimeoutSeconds"),
                arguments=fields.required_template("Arguments"),
                retry=tuple(_retriers(fields)),
                catch=tuple(_catchers(fields)),
                next=_next(fields),
                output=output,
                assign=assign,
            )
        case "Parallel":
            state = Parallel(
                branches=tuple(_flow(branch) for branch in fields.each("Branches")),
                arguments=fields.template("Arguments"),
                retry=tuple(_retriers(fields)),
                catch=tuple(_catchers(fields)),
                next=_next(fields),
                output=output,
                assign=assign,
            )
        case _:
            raise fields.error("Type", f"{kind!r} is not implemented")
    fields.reject_unknown()
    return state


def _next(fields: _Fields) -> str | None:
    end = fields.take("End", bool, False)
    target: str | None = fields.take("Next", str, None)
    if end is (target is not None):
        raise fields.error("Next", "a state needs either Next or End: true")
    return target


def _rules(fields: _Fields) -> Iterator[Rule]:
    for rule in fields.each("Choices"):
        rule.take("Comment", str, "")
        yield Rule(rule.required_template("Condition"), rule.take("Next", str), rule.template("Output"), rule.assign())
        rule.reject_unknown()


def _catchers(fields: _Fields) -> Iterator[Catcher]:
    for catcher in fields.each("Catch", []):
        catcher.take("Comment", str, "")
        yield Catcher(_errors(catcher), catcher.take("Next", str), catcher.template("Output"), catcher.assign())
        catcher.reject_unknown()


def _retriers(fields: _Fields) -> Iterator[Retrier]:
    for retrier in fields.each("Retry", []):
        retrier.take("Comment", str, "")
        strategy = retrier.take("JitterStrategy", str, "NONE")
        if strategy not in {"FULL", "NONE"}:
            raise retrier.error("JitterStrategy", "must be FULL or NONE")
        yield Retrier(
            errors=_errors(retrier),
            interval_s=retrier.take("IntervalSeconds", int, 1),
            max_attempts=retrier.take("MaxAttempts", int, 3),
            backoff=retrier.take("BackoffRate", (int, float), 2.0),
            max_delay_s=retrier.take("MaxDelaySeconds", int, None),
            full_jitter=strategy == "FULL",
        )
        retrier.reject_unknown()


def _errors(fields: _Fields) -> tuple[str, ...]:
    errors = tuple(fields.take("ErrorEquals", list))
    if not errors or not all(isinstance(error, str) for error in errors):
        raise fields.error("ErrorEquals", "must be a non-empty list of error names")
    if "States.ALL" in errors and len(errors) > 1:
        raise fields.error("ErrorEquals", "States.ALL must be the only name in its list")
    return errors


def _targets(state: State) -> Iterator[str]:
    if isinstance(state, Fail):
        return
    if state.next is not None:
        yield state.next
    if isinstance(state, Choice):
        yield from (rule.next for rule in state.rules)
    if isinstance(state, Retryable):
        yield from (catcher.next for catcher in state.catch)


def _states_and_handlers(flow: Flow) -> Iterator[object]:
    """Yield every state, rule and catcher, including those of branches."""
    for state in flow.states.values():
        yield state
        yield from getattr(state, "rules", ())
        yield from getattr(state, "catch", ())
        for branch in getattr(state, "branches", ()):
            yield from _states_and_handlers(branch)


def _templates(part: object) -> Iterator[Template]:
    for field in ("output", "assign", "seconds", "condition", "arguments", "timeout", "error", "cause"):
        if isinstance(template := getattr(part, field, None), Template):
            yield template


def _used_variables(flow: Flow) -> frozenset[str]:
    return frozenset(
        name for part in _states_and_handlers(flow) for template in _templates(part) for name in template.variables
    )


def _assigned_variables(flow: Flow) -> frozenset[str]:
    assigned = (getattr(part, "assign", None) for part in _states_and_handlers(flow))
    return frozenset(name for template in assigned if template is not None for name in template.source)

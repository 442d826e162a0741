"""State machine definitions: Amazon States Language text in, checked states out.

Whatever the interpreter does not implement is refused here, by state and field, so that nothing is ever ignored.
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
    Rule,
    State,
    Task,
    Wait,
    Work,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_HTTP_INVOKE = re.compile(r"arn:[a-z-]+:states:::http:invoke")
_PLACEHOLDER = re.compile(r"\$\{(.*?)\}")


class DefinitionError(ValueError):
    """A definition is wrong, or needs something that the local AWS does not have."""


def render(text: str, values: Mapping[str, str]) -> str:
    """Fill in `${name}` placeholders as Terraform's templatefile does; DefinitionError for one that has no value.

    Placeholders stand inside JSON strings, so values are escaped for one.
    """
    if unknown := set(_PLACEHOLDER.findall(text)) - set(values):
        raise DefinitionError(f"unknown placeholder: {', '.join(sorted(unknown))}")
    return _PLACEHOLDER.sub(lambda match: json.dumps(values[match[1]])[1:-1], text)


def parse(text: str) -> Machine:
    """Check and compile a definition; DefinitionError names the state and the field that cannot be run."""
    try:
        source = loads(text)
    except ValueError as error:
        raise DefinitionError(f"the definition is not JSON: {error}") from error
    fields = _Fields("the definition", source)
    if fields.take("QueryLanguage", str, "JSONPath") != "JSONata":
        raise fields.refusal("QueryLanguage", "only JSONata is implemented")
    fields.take("Comment", str, "")
    fields.take("Version", str, "1.0")
    timeout = fields.take("TimeoutSeconds", int, None)
    machine = Machine(text, _flow(fields), timeout)
    unknown = _used(machine.flow) - _assigned(machine.flow) - {"states"}
    if unknown:
        raise DefinitionError(
            f"the definition uses functions or variables that do not exist: ${', $'.join(sorted(unknown))}"
        )
    return machine


class _Fields:
    """The fields of one JSON object; those that nobody has taken in the end are refused."""

    def __init__(self, where: str, source: Json) -> None:
        self.where = where
        if not isinstance(source, dict):
            raise DefinitionError(f"{where} is not an object")
        self._left = dict(source)

    def refusal(self, field: str, reason: str) -> DefinitionError:
        return DefinitionError(f"{self.where}, field {field}: {reason}")

    def take(self, field: str, kind: type | tuple[type, ...], *default: Json) -> Json:
        """Remove and give one field; without a default it is required."""
        if field not in self._left:
            if default:
                return default[0]
            raise self.refusal(field, "is missing")
        value = self._left.pop(field)
        if not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool):
            raise self.refusal(field, f"has the wrong type, {type(value).__name__}")
        return value

    def template(self, field: str) -> Template | None:
        if field not in self._left:
            return None
        try:
            return Template(self._left.pop(field))
        except UnsupportedExpressionError as error:
            raise self.refusal(field, str(error)) from error

    def required_template(self, field: str) -> Template:
        template = self.template(field)
        if template is None:
            raise self.refusal(field, "is missing")
        return template

    def assign(self) -> Template | None:
        if not isinstance(self._left.get("Assign", {}), dict):
            raise self.refusal("Assign", "is not an object")
        for name in self._left.get("Assign", ()):
            if name == "states" or not re.fullmatch(r"[^\W\d]\w{0,79}", name):
                raise self.refusal("Assign", f"{name!r} is no variable name")
        return self.template("Assign")

    def each(self, field: str, *default: Json) -> Iterator[_Fields]:
        for index, item in enumerate(self.take(field, list, *default)):
            yield _Fields(f"{self.where}, {field}[{index}]", item)

    def done(self) -> None:
        for field in self._left:
            raise self.refusal(field, "is not implemented")


def _flow(fields: _Fields) -> Flow:
    start_at = fields.take("StartAt", str)
    sources = fields.take("States", dict)
    fields.done()
    states = {name: _state(_Fields(f"state {name!r}", source)) for name, source in sources.items()}
    for origin, target in [("StartAt", start_at), *((name, to) for name in states for to in _targets(states[name]))]:
        if target not in states:
            raise DefinitionError(f"{fields.where}: {origin!r} leads to {target!r}, which does not exist")
    return Flow(start_at, states)


def _state(fields: _Fields) -> State:
    kind = fields.take("Type", str)
    fields.take("Comment", str, "")
    if fields.take("QueryLanguage", str, "JSONata") != "JSONata":
        raise fields.refusal("QueryLanguage", "only JSONata is implemented")
    state: State
    if kind == "Fail":
        state = Fail(fields.template("Error"), fields.template("Cause"))
        fields.done()
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
                raise fields.refusal("Resource", f"{resource!r} is not implemented, only http:invoke is")
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
            raise fields.refusal("Type", f"{kind!r} is not implemented")
    fields.done()
    return state


def _next(fields: _Fields) -> str | None:
    end = fields.take("End", bool, False)
    target: str | None = fields.take("Next", str, None)
    if end is (target is not None):
        raise fields.refusal("Next", "a state has either Next or End")
    return target


def _rules(fields: _Fields) -> Iterator[Rule]:
    for rule in fields.each("Choices"):
        rule.take("Comment", str, "")
        yield Rule(rule.required_template("Condition"), rule.take("Next", str), rule.template("Output"), rule.assign())
        rule.done()


def _catchers(fields: _Fields) -> Iterator[Catcher]:
    for catcher in fields.each("Catch", []):
        catcher.take("Comment", str, "")
        yield Catcher(_errors(catcher), catcher.take("Next", str), catcher.template("Output"), catcher.assign())
        catcher.done()


def _retriers(fields: _Fields) -> Iterator[Retrier]:
    for retrier in fields.each("Retry", []):
        retrier.take("Comment", str, "")
        strategy = retrier.take("JitterStrategy", str, "NONE")
        if strategy not in {"FULL", "NONE"}:
            raise retrier.refusal("JitterStrategy", "is FULL or NONE")
        yield Retrier(
            errors=_errors(retrier),
            interval=retrier.take("IntervalSeconds", int, 1),
            attempts=retrier.take("MaxAttempts", int, 3),
            backoff=retrier.take("BackoffRate", (int, float), 2.0),
            longest=retrier.take("MaxDelaySeconds", int, None),
            full_jitter=strategy == "FULL",
        )
        retrier.done()


def _errors(fields: _Fields) -> tuple[str, ...]:
    errors = tuple(fields.take("ErrorEquals", list))
    if not errors or not all(isinstance(error, str) for error in errors):
        raise fields.refusal("ErrorEquals", "is a list of error names")
    if "States.ALL" in errors and len(errors) > 1:
        raise fields.refusal("ErrorEquals", "States.ALL stands alone")
    return errors


def _targets(state: State) -> Iterator[str]:
    if isinstance(state, Fail):
        return
    if state.next is not None:
        yield state.next
    if isinstance(state, Choice):
        yield from (rule.next for rule in state.rules)
    if isinstance(state, Work):
        yield from (catcher.next for catcher in state.catch)


def _parts(flow: Flow) -> Iterator[object]:
    """Give every state, rule and catcher, those of inner flows too."""
    for state in flow.states.values():
        yield state
        yield from getattr(state, "rules", ())
        yield from getattr(state, "catch", ())
        for branch in getattr(state, "branches", ()):
            yield from _parts(branch)


def _templates(part: object) -> Iterator[Template]:
    for field in ("output", "assign", "seconds", "condition", "arguments", "timeout", "error", "cause"):
        if isinstance(template := getattr(part, field, None), Template):
            yield template


def _used(flow: Flow) -> frozenset[str]:
    return frozenset(name for part in _parts(flow) for template in _templates(part) for name in template.variables)


def _assigned(flow: Flow) -> frozenset[str]:
    assigned = (getattr(part, "assign", None) for part in _parts(flow))
    return frozenset(name for template in assigned if template is not None for name in template.source)

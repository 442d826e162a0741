"""A parser for Amazon States Language: definition text in, checked states out.

Whatever the interpreter does not implement is rejected here by state and field, so that nothing is silently ignored,
and everything that is wrong is reported at once.
Source: Amazon States Language specification and AWS Step Functions Developer Guide, "State machine structure".
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from service.local.fields import UNUSABLE, Fields, Report
from service.local.http_task import argument_faults
from service.local.interpreter import is_seconds
from service.local.json_text import loads
from service.local.states import Catcher, Choice, Fail, Flow, Machine, Parallel, Pass, Retrier, Rule, State, Task, Wait

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from service.local.expressions import Template
    from service.local.json_text import Json

_HTTP_INVOKE = re.compile(r"arn:[a-z-]+:states:::http:invoke")
_PLACEHOLDER = re.compile(r"\$\{(.*?)\}")
_SECONDS_RULE = "must be a number of seconds or an expression"


class DefinitionError(ValueError):
    """A definition is invalid or uses something that the local AWS does not implement."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults
        """Everything that is wrong."""


def read(path: Path, values: Mapping[str, str]) -> Machine:
    """Compile the definition in a file, with its placeholders filled in; raise DefinitionError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DefinitionError(f"the file cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DefinitionError("the file is not UTF-8 text") from error
    unknown = sorted(set(_PLACEHOLDER.findall(text)) - set(values))
    faults = [f"unknown placeholder: ${{{name}}}" for name in unknown]
    try:
        machine = parse(render(text, {name: f"${{{name}}}" for name in unknown} | dict(values)))
    except DefinitionError as error:
        raise DefinitionError(*faults, *error.faults) from error
    if faults:
        raise DefinitionError(*faults)
    return machine


def render(text: str, values: Mapping[str, str]) -> str:
    """Fill in `${name}` placeholders as Terraform's templatefile does; DefinitionError for an unknown name.

    Placeholders appear inside JSON strings, so values are escaped for them.
    """
    if unknown := set(_PLACEHOLDER.findall(text)) - set(values):
        raise DefinitionError(f"unknown placeholder: {', '.join(sorted(unknown))}")
    return _PLACEHOLDER.sub(lambda match: json.dumps(values[match[1]])[1:-1], text)


def parse(text: str) -> Machine:
    """Check and compile a definition; DefinitionError has every fault, with its state and field."""
    try:
        source = loads(text)
    except ValueError as error:
        is_yaml = re.match(r"(---|\s*#.*|\s*[\w-]+:(\s|$))", text.lstrip()) is not None
        advice = "; it looks like YAML: convert it to JSON first" if is_yaml else ""
        raise DefinitionError(f"the definition is not JSON: {error}{advice}") from error
    report = Report()
    fields = Fields("the definition", source, report)
    if fields.take("QueryLanguage", str, "JSONPath") != "JSONata":
        fields.fault("QueryLanguage", "only JSONata is implemented")
    fields.take("Comment", str, "")
    fields.take("Version", str, "1.0")
    timeout = fields.take("TimeoutSeconds", int, None)
    machine = Machine(text, _flow(fields), timeout)
    report.check_variables()
    if report.faults:
        raise DefinitionError(*report.faults)
    return machine


def _flow(fields: Fields) -> Flow:
    fields.targets = []
    start_at = fields.target("StartAt")
    sources = fields.take("States", dict)
    fields.reject_unknown()
    states = {name: _state(fields.part(f"state {name!r}", source)) for name, source in sources.items()}
    for origin, field, target in fields.targets:
        if target not in states:
            origin.fault(field, f"leads to state {target!r}, which does not exist")
    return Flow(start_at, states)


def _state(fields: Fields) -> State:
    kind = fields.take("Type", str)
    fields.take("Comment", str, "")
    if fields.take("QueryLanguage", str, "JSONata") != "JSONata":
        fields.fault("QueryLanguage", "only JSONata is implemented")
    if kind == "Fail":
        failure = Fail(*(fields.template(field, _is_text, "must be a string") for field in ("Error", "Cause")))
        fields.reject_unknown()
        return failure
    output, assign = fields.template("Output"), fields.assign()
    state: State
    match kind:
        case "Succeed":
            state = Pass(output=output, assign=assign)
        case "Choice":
            state = Choice(
                rules=tuple(_rules(fields)), next=fields.target("Default", None), output=output, assign=assign
            )
        case "Pass":
            state = Pass(next=_next(fields), output=output, assign=assign)
        case "Wait":
            state = Wait(seconds=_wait(fields), next=_next(fields), output=output, assign=assign)
        case "Task":
            state = Task(
                timeout=fields.template("TimeoutSeconds", is_seconds, _SECONDS_RULE),
                arguments=_task_arguments(fields),
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
        case "":
            return Pass()  # the missing type has been reported; which fields it may have is not known
        case _:
            fields.fault("Type", f"{kind!r} is not implemented")
            return Pass()
    fields.reject_unknown()
    return state


def _task_arguments(fields: Fields) -> Template:
    resource, arguments = fields.take("Resource", str), fields.required_template("Arguments")
    if _HTTP_INVOKE.fullmatch(resource) is None:
        if resource:
            fields.fault("Resource", f"{resource!r} is not implemented; only http:invoke is")
    elif isinstance(arguments.source, dict):
        for name, reason in argument_faults(arguments.source):
            fields.fault(f"Arguments.{name}", reason)
    return arguments


def _is_text(value: Json) -> bool:
    return isinstance(value, str)


def _next(fields: Fields) -> str | None:
    end = fields.take("End", bool, False)
    present = "Next" in fields
    target: str | None = fields.target("Next", None)
    if end is present:
        fields.fault("Next", "a state needs either Next or End: true")
    return target


def _wait(fields: Fields) -> Template:
    others = [field for field in ("Timestamp", "TimestampPath", "SecondsPath") if field in fields]
    if not others or "Seconds" in fields:
        return fields.required_template("Seconds", is_seconds, _SECONDS_RULE)
    for field in others:
        fields.take(field, object)
        fields.fault(field, "is not implemented; only Seconds is")
    return UNUSABLE


def _rules(fields: Fields) -> Iterator[Rule]:
    for rule in fields.each("Choices"):
        rule.take("Comment", str, "")
        condition = rule.required_template(
            "Condition", lambda value: isinstance(value, bool), "must be a boolean or an expression"
        )
        yield Rule(condition, rule.target("Next"), rule.template("Output"), rule.assign())
        rule.reject_unknown()


def _catchers(fields: Fields) -> Iterator[Catcher]:
    for catcher in fields.each("Catch", []):
        catcher.take("Comment", str, "")
        yield Catcher(_errors(catcher), catcher.target("Next"), catcher.template("Output"), catcher.assign())
        catcher.reject_unknown()


def _retriers(fields: Fields) -> Iterator[Retrier]:
    for retrier in fields.each("Retry", []):
        retrier.take("Comment", str, "")
        strategy = retrier.take("JitterStrategy", str, "NONE")
        if strategy not in {"FULL", "NONE"}:
            retrier.fault("JitterStrategy", "must be FULL or NONE")
        yield Retrier(
            errors=_errors(retrier),
            interval_s=retrier.take("IntervalSeconds", int, 1),
            max_attempts=retrier.take("MaxAttempts", int, 3),
            backoff=retrier.take("BackoffRate", (int, float), 2.0),
            max_delay_s=retrier.take("MaxDelaySeconds", int, None),
            full_jitter=strategy == "FULL",
        )
        retrier.reject_unknown()


def _errors(fields: Fields) -> tuple[str, ...]:
    present = "ErrorEquals" in fields
    errors = tuple(fields.take("ErrorEquals", list))
    if present and (not errors or not all(isinstance(error, str) for error in errors)):
        fields.fault("ErrorEquals", "must be a non-empty list of error names")
    if "States.ALL" in errors and len(errors) > 1:
        fields.fault("ErrorEquals", "States.ALL must be the only name in its list")
    return errors

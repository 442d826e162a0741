"""A parser for Amazon States Language: definition text in, checked states out.

Whatever the interpreter does not implement is rejected here by state and field, so that nothing is silently ignored,
and everything that is wrong is reported at once.
Source: Amazon States Language specification and AWS Step Functions Developer Guide, "State machine structure".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from service.local.asl import placeholders, yaml_text
from service.local.asl.fields import Fields, Report
from service.local.asl.resources import HTTP_ONLY
from service.local.asl.state_fields import StateParser
from service.local.asl.states import Machine
from service.local.json_text import dumps, loads

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from service.local.asl.resources import Resources
    from service.local.json_text import Json


class DefinitionError(ValueError):
    """A definition is invalid or uses something that the local AWS does not implement."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults
        """Everything that is wrong."""


def read(path: Path, values: Mapping[str, str], resources: Resources = HTTP_ONLY) -> Machine:
    """Compile the definition in a JSON or YAML file, with its placeholders filled in; raise DefinitionError.

    Placeholders without a value stay as they are in tasks that are mocked; elsewhere they are a fault.
    """
    text = _filled_in(path, values)
    return parse(text, resources, placeholders.names(text))


def read_task_names(path: Path, values: Mapping[str, str]) -> set[str]:
    """Return the names of all states in a file that call something; DefinitionError if it cannot be read."""
    return set(_task_names(_loads(_filled_in(path, values))))


def placeholder_names(path: Path) -> set[str]:
    """Return the names of the placeholders in a JSON or YAML file; DefinitionError if it cannot be read."""
    return placeholders.names(_json_text(path))


def render(text: str, values: Mapping[str, str]) -> str:
    """Fill in placeholders as Terraform's templatefile does; DefinitionError for an unknown name."""
    if unknown := placeholders.names(text) - set(values):
        raise DefinitionError(f"unknown placeholder: {', '.join(sorted(unknown))}")
    return placeholders.fill_in(text, values)


def parse(text: str, resources: Resources = HTTP_ONLY, unknown: AbstractSet[str] = frozenset()) -> Machine:
    """Check and compile a definition; DefinitionError has every fault, with its state and field.

    `resources` decides which tasks can be run, `unknown` are the names of placeholders without a value.
    """
    report = Report()
    fields = Fields("the definition", _loads(text), report)
    language = fields.take("QueryLanguage", str, "JSONPath")
    if language not in {"JSONata", "JSONPath"}:
        fields.fault("QueryLanguage", "must be JSONata or JSONPath")
    fields.take("Comment", str, "")
    fields.take("Version", str, "1.0")
    timeout = fields.take("TimeoutSeconds", int, None)
    parser = StateParser(language, resources, unknown)
    machine = Machine(text, parser.flow(fields), timeout)
    report.check_variables()
    if report.faults:
        raise DefinitionError(*report.faults)
    return machine


def _task_names(definition: Json) -> Iterator[str]:
    """Yield the names of Tasks, and of Maps, which may read their items, at any depth."""
    if isinstance(definition, dict):
        for name, value in definition.items():
            if isinstance(value, dict) and value.get("Type") in {"Task", "Map"}:
                yield name
            yield from _task_names(value)
    elif isinstance(definition, list):
        for value in definition:
            yield from _task_names(value)


def _loads(text: str) -> Json:
    try:
        return loads(text)
    except ValueError as error:
        is_yaml = re.match(r"(---|\s*#.*|\s*[\w-]+:(\s|$))", text.lstrip()) is not None
        advice = "; it looks like YAML: name the file .yaml" if is_yaml else ""
        raise DefinitionError(f"the definition is not JSON: {error}{advice}") from error


def _filled_in(path: Path, values: Mapping[str, str]) -> str:
    text = _json_text(path)
    if _is_yaml(path):
        text = placeholders.fill_in_numbers(text, values)
    return placeholders.fill_in(text, values)


def _json_text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DefinitionError(f"the file cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DefinitionError("the file is not UTF-8 text") from error
    if not _is_yaml(path):
        return text
    try:
        return dumps(yaml_text.loads(text))
    except (ValueError, TypeError) as error:
        raise DefinitionError(f"the definition is not YAML of JSON values: {error}") from error


def _is_yaml(path: Path) -> bool:
    return path.suffix.lower() in {".yaml", ".yml"}

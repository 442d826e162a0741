"""What is wrong with settings, in the words of this project rather than pydantic's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_RULES: Final = {
    "missing": "is required",
    "bool_parsing": "must be true or false",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "is too large",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:.12g}",
    "literal_error": "must be {expected}",
    "extra_forbidden": "is not known",
    "string_pattern_mismatch": "must match {pattern}",
    "string_type": "must be text",
    "model_type": "must be a table",
    "string_unicode": "must be text in UTF-8",
}
"""What pydantic's types of errors mean, in the words of the settings' own messages."""


def explain(error: ValidationError) -> str:
    """Return a message with a line for each setting that is wrong: its name, and what it must be."""
    lines = [f"  {problem}" for problem in sorted(problems(error))]
    return "\n".join(["Invalid settings (environment variables, which --help describes):", *lines])


def problems(error: ValidationError) -> Iterator[str]:
    """Yield what is wrong, each time with the name of the setting."""
    for fault in error.errors(include_url=False, include_input=False):
        name = ".".join(map(str, fault["loc"]))
        for line in _rule(fault).splitlines():
            yield f"{name}: {line}" if name else line


def _rule(fault: ErrorDetails) -> str:
    """Return what a setting must be, without its value: that may be a secret in the wrong variable."""
    rule = _RULES.get(fault["type"])
    return rule.format(**fault.get("ctx", {})) if rule else fault["msg"].removeprefix("Value error, ")

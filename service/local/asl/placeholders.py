"""Placeholders in a definition, `${name}`, as Terraform, CloudFormation and SAM fill them in."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from service.local.json_text import Json

_PLACEHOLDER = re.compile(r"\$\{([\w.:-]+)\}")
_NUMBER_FIELD = re.compile(r'("(?:\w*Seconds|MaxAttempts|MaxConcurrency|BackoffRate)": ?)"\$\{([\w.:-]+)\}"')
_NUMBER = re.compile(r"(0|[1-9]\d*)(\.\d+)?")


def names(text: str) -> set[str]:
    """Return the names of the placeholders in a text."""
    return set(_PLACEHOLDER.findall(text))


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """Replace the placeholders that have a value; those of other names stay.

    Placeholders appear inside JSON strings, so values are escaped for them.
    """
    return _PLACEHOLDER.sub(lambda match: json.dumps(values[match[1]])[1:-1] if match[1] in values else match[0], text)


def fill_in_numbers(text: str, values: Mapping[str, str]) -> str:
    """Fill in the placeholders of JSON fields that hold numbers, without quotes.

    It is for text that was YAML: `Seconds: ${Pause}` has no quotes there, so its value is a number.
    """

    def filled(match: re.Match[str]) -> str:
        value = values.get(match[2], "")
        return f"{match[1]}{value}" if _NUMBER.fullmatch(value) else match[0]

    return _NUMBER_FIELD.sub(filled, text)


def found_in(source: Json, searched: AbstractSet[str]) -> Iterator[str]:
    """Yield those of the searched placeholders that are in the strings of a value, at any depth."""
    if isinstance(source, dict):
        for name, value in source.items():
            yield from found_in(name, searched)
            yield from found_in(value, searched)
    elif isinstance(source, list):
        for value in source:
            yield from found_in(value, searched)
    elif isinstance(source, str) and "${" in source:
        yield from sorted(names(source) & searched)

"""Definitions in YAML, as SAM and CloudFormation have them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service.local.json_text import Json


def loads(text: str) -> Json:
    """Parse YAML into JSON values; ValueError if it is not valid.

    Short forms of CloudFormation become placeholders: `!Sub` keeps its text, `!Ref Name` and `!GetAtt Name.Arn` become
    `${Name}` and `${Name.Arn}`. Words such as `yes` and dates stay text, as in YAML 1.2.
    """
    import yaml  # noqa: PLC0415 - only definitions in YAML need it

    class Loader(yaml.SafeLoader):
        """Loads what JSON has, and short forms."""

    kept = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool"}
    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in kept]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for first, words in (("t", "true|True|TRUE"), ("f", "false|False|FALSE")):
        for letter in (first, first.upper()):
            Loader.add_implicit_resolver("tag:yaml.org,2002:bool", _pattern(words), [letter])
    Loader.add_multi_constructor("!", _short_form)
    try:
        return yaml.load(text, Loader)  # noqa: S506 - the loader is a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _pattern(words: str) -> re.Pattern[str]:
    return re.compile(f"^(?:{words})$")


def _short_form(loader: Any, name: str, node: Any) -> Json:
    """Return the value of `!name node`."""
    if node.id == "scalar":
        value = loader.construct_scalar(node)
    elif node.id == "sequence":
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if name in {"Ref", "GetAtt"}:
        return f"${{{value if isinstance(value, str) else '.'.join(value)}}}"
    return value[0] if name == "Sub" and isinstance(value, list) else value

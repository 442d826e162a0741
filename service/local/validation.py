"""ValidateStateMachineDefinition: everything that is wrong with a definition, by state and field.

Source: AWS Step Functions API Reference, "ValidateStateMachineDefinition".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from service.local.api_arguments import invalid, page_size, string
from service.local.asl.definition import DefinitionError, parse

if TYPE_CHECKING:
    from service.local.asl.resources import Resources
    from service.local.json_text import Json

_STATE = re.compile(r"state '(.*?)'(?:, ((?!field )[^:]*?))?(?:, field ([^:]*))?: ")
_MAX_DEFINITION: Final = 1_048_576


def validate(arguments: Json, resources: Resources) -> Json:
    """Return the response; a task that cannot be run here is a fault as well."""
    text = string(arguments, "definition", length=_MAX_DEFINITION) or ""
    if (kind := string(arguments, "type", required=False)) not in {None, "STANDARD", "EXPRESS"}:
        raise invalid("type", f"Member must satisfy enum value set: [STANDARD, EXPRESS], not {kind}")
    most = page_size(arguments)
    try:
        parse(text, resources)
    except DefinitionError as error:
        found = [_diagnostic(fault) for fault in error.faults]
        return {"result": "FAIL", "diagnostics": found[:most], "truncated": len(found) > most}
    return {"result": "OK", "diagnostics": [], "truncated": False}


def _diagnostic(fault: str) -> dict[str, Json]:
    diagnostic = {"severity": "ERROR", "code": "SCHEMA_VALIDATION_FAILED", "message": fault}
    if (match := _STATE.match(fault)) is not None:
        state, part, field = match.groups()
        inside = re.findall(r"[^.,\[\] ]+", f"{part or ''} {(field or '').removesuffix('.$')}")
        diagnostic["location"] = "/".join(["/States", state, *inside])
    return diagnostic

"""An example value for a JSON Schema, good enough for small schemas."""

from __future__ import annotations

from typing import Any

_SAMPLES: dict[str, Any] = {
    "string": "text",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "null": None,
    "array": [],
}


def example(schema: Any) -> Any:
    """Make an example, which may not be valid: references and conditions are ignored."""
    if not isinstance(schema, dict):
        return {}
    for keyword in ("example", "default", "const"):
        if keyword in schema:
            return schema[keyword]
    for keyword in ("examples", "enum"):
        if isinstance(given := schema.get(keyword), list) and given:
            return given[0]
    return _of_type(schema)


def _of_type(schema: dict[str, Any]) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list) and kind:
        kind = kind[0]
    if kind == "array" and schema.get("minItems"):
        return [example(schema.get("items"))]
    if kind in {"integer", "number"} and isinstance(schema.get("minimum"), int | float):
        return schema["minimum"]
    if kind in _SAMPLES:
        return _SAMPLES[kind]
    properties = schema.get("properties", {})
    return {name: example(properties.get(name, {})) for name in schema.get("required", [])}

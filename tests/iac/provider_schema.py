"""A check of Terraform blocks against the distilled schema of the newest provider: names and required arguments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.iac.distil_provider_schema import DISTILLED
from tests.iac.files import BLOCK, Block

# Terraform's meta-arguments, which every resource accepts.
_META = {"count", "depends_on", "for_each", "lifecycle", "provider", "provisioner"}

Json = dict[str, Any]

SCHEMA: Json = json.loads(DISTILLED.read_text(encoding="utf-8"))


def findings(block: Block) -> list[str]:
    """Return what the newest provider would refuse in a resource or data source, each with its address."""
    name = f"{'data.' if block.kind == 'data' else ''}{block.labels[0]}"
    shape = SCHEMA["types"].get(name)
    if shape is None:
        return [f"{block.address}: the distilled schema has no type {name}"]
    body = {key: value for key, value in block.body.items() if key not in _META}
    return [f"{block.address}: {finding}" for finding in _check(body, shape, "")]


def _check(body: Json, shape: Json, path: str) -> Iterator[str]:
    written = dict(_parts(body))
    arguments, nested = shape.get("arguments", {}), shape.get("blocks", {})
    if not shape.get("anything"):
        for name, bodies in written.items():
            if bodies is None and name not in arguments:
                yield f"{path}{name} is {'a block' if name in nested else 'not an argument'}"
            elif bodies is not None and name not in nested:
                yield f"{path}{name} is {'an argument' if name in arguments else 'not a block'}"
            else:
                for inner in bodies or []:
                    yield from _check(inner, nested[name], f"{path}{name}.")
    required = {name for name, needed in arguments.items() if needed}
    required |= {name for name, inner in nested.items() if inner["required"]}
    for name in sorted(required - set(written)):
        yield f"{path}{name} is missing"


def _parts(body: Json) -> Iterator[tuple[str, list[Json] | None]]:
    """Yield each name with the bodies of its blocks, or with None if it is an argument."""
    for name, value in body.items():
        if name == BLOCK:
            continue
        if name == "dynamic":
            for dynamic in value:
                ((label, inner),) = ((key, item) for key, item in dynamic.items() if key != BLOCK)
                yield label.strip('"'), inner["content"]
        elif isinstance(value, list) and value and isinstance(value[0], dict) and BLOCK in value[0]:
            yield name, value
        else:
            yield name, None

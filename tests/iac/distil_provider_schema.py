"""Extraction of the parts of the newest provider's schema that the configuration uses.

Usage: `python -m tests.iac.distil_provider_schema WHEEL`. WHEEL is `cdktn-provider-aws`, from `pip download --no-deps
cdktn-provider-aws`: bindings that are generated from the schema of the Terraform provider hashicorp/aws (MPL-2.0). Its
jsii assembly describes some 1,500 resource types in 131 MB, and reading it takes 1 GB of memory. `provider_schema.json`
keeps the argument and block names of the types that the configuration uses. Run it again after adding a type, or for a
newer provider.
"""

from __future__ import annotations

import io
import json
import re
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from tests.iac.files import blocks

DISTILLED = Path(__file__).with_name("provider_schema.json")
# The documentation link ends in Terraform's name, which cannot be derived from the binding's camelCase name.
_LINK = re.compile(r"hashicorp/aws/(?P<version>[\d.]+)/docs/(?P<kind>resources|data-sources)/\S+ (?P<name>[^}]+)\}")

Json = dict[str, Any]


def used_types() -> set[str]:
    """Return the provider's types that the configuration uses, as `aws_lb` or `data.aws_partition`."""
    return {
        f"{'data.' if block.kind == 'data' else ''}{block.labels[0]}"
        for block in blocks()
        if block.kind in {"resource", "data"} and block.labels[0].startswith("aws_")
    }


def distil(wheel: Path) -> Json:
    """Return the distilled schema; raise LookupError for a type that the provider does not have."""
    types = _assembly(wheel)["types"]
    wanted, found, version = used_types(), {}, ""
    for declared in types.values():
        link = _LINK.search(declared.get("docs", {}).get("summary", ""))
        if link is None or declared["kind"] != "class" or "initializer" not in declared:
            continue
        name = link["name"] if link["kind"] == "resources" else f"data.{link['name']}"
        if name not in wanted:
            continue
        version = link["version"]
        # The constructor names it. `<Class>Config` would be a guess, and other structures have such names.
        config = next(item for item in declared["initializer"]["parameters"] if item["name"] == "config")
        found[name] = _shape(types, config["type"]["fqn"])
    if missing := wanted - set(found):
        raise LookupError(f"the provider does not have {', '.join(sorted(missing))}")
    source = {"wheel": wheel.name, "provider": f"hashicorp/aws {version}", "license": "MPL-2.0"}
    return {"source": source, "types": dict(sorted(found.items()))}


def _assembly(wheel: Path) -> Json:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(archive.read(name))) as bundle:
            file = bundle.extractfile("package/.jsii")
            assert file is not None
            assembly: Json = json.load(file)
            return assembly


def _shape(types: Json, fqn: str) -> Json:
    """Return `{"arguments": {name: required}, "blocks": {name: {"required", "arguments", "blocks"}}}`."""
    arguments, nested = {}, {}
    for item in types[fqn].get("properties", []):
        docs = item["docs"]
        link = _LINK.search(docs["summary"]) or _LINK.search(docs.get("remarks", ""))
        assert link is not None, f"{fqn} has no link for {item['name']}"
        name, required = link["name"].partition("#")[2], not item.get("optional", False)
        inner = _structure(item["type"])
        is_block = docs["summary"] == f"{name} block."
        if not is_block:
            arguments[name] = required
        # An argument of structures may also be written as blocks (`route` of a route table).
        if is_block or inner:
            shape = _shape(types, inner) if inner else {"anything": True}
            nested[name] = {"required": required and is_block} | shape
    return {"arguments": arguments} | ({"blocks": nested} if nested else {})


def _structure(declared: Json) -> str | None:
    """Return the structure in `X`, in a list of X, or in a union of these with a token; None for `any`."""
    if "union" in declared:
        return next(filter(None, map(_structure, declared["union"]["types"])), None)
    if "collection" in declared:
        return _structure(declared["collection"]["elementtype"])
    fqn = declared.get("fqn")
    return fqn if fqn and not fqn.startswith("cdktn.") else None


def main() -> int:
    """Write the distilled schema next to this module."""
    if len(sys.argv) != 2:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    DISTILLED.write_text(json.dumps(distil(Path(sys.argv[1])), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

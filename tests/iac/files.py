"""Paths of the infrastructure's files, and the blocks of the Terraform files, read with python-hcl2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import hcl2
from hcl2.utils import SerializationOptions

ROOT = Path(__file__).parents[2]
IAC = ROOT / "IaC"
TERRAFORM = IAC / "terraform"
MODULE = TERRAFORM / "modules" / "sync-front"
EXAMPLE_WORKFLOWS = ROOT / "examples"
EXAMPLES = sorted(path.parent for path in TERRAFORM.glob("examples/*/main.tf"))
TEMPLATE = IAC / "cloudFormation" / "appsync-events.yaml"
WORKFLOW = IAC / "workflow.asl.json"
RELAY = IAC / "relay.asl.json"
README = IAC / "README.md"

# Resources that are newer than the module, so that no deployment has them outside of it.
NEWER_THAN_MODULE = {
    "aws_api_gateway_base_path_mapping.main",
    "aws_api_gateway_domain_name.main",
    "aws_cloudformation_stack.usage_plans",
    "aws_ecs_cluster_capacity_providers.main",
    "aws_iam_role.authorizer",
    "aws_iam_role.relay",
    "aws_iam_role_policy.authorizer",
    "aws_iam_role_policy.relay",
    "aws_route53_record.main",
    "aws_sfn_state_machine.relay",
}

# python-hcl2 marks blocks with this key, which distinguishes `x { }` from `x = { }`.
BLOCK = "__is_block__"
_OPTIONS = SerializationOptions(with_comments=False, strip_string_quotes=True)


@dataclass(frozen=True)
class Block:
    """One top-level block of a `.tf` file, for example `resource "aws_lb" "this" { ... }`."""

    file: str
    kind: str
    labels: tuple[str, ...]
    body: dict[str, Any]

    @property
    def address(self) -> str:
        return ".".join([self.file, self.kind, *self.labels])


@cache  # the parser takes seconds
def blocks(folder: Path = MODULE) -> tuple[Block, ...]:
    """Return every top-level block of every `.tf` file in a folder."""
    return tuple(_read(folder))


def _read(folder: Path) -> Iterator[Block]:
    for path in sorted(folder.glob("*.tf")):
        with path.open(encoding="utf-8") as file:
            for kind, bodies in hcl2.load(file, serialization_options=_OPTIONS).items():
                for body in bodies if isinstance(bodies, list) else [bodies]:
                    labels, inner = _unwrap(body)
                    yield Block(path.name, kind, labels, inner)


def named(kind: str, folder: Path = TERRAFORM) -> dict[str, dict[str, Any]]:
    """Return the blocks of a kind with one label, such as `variable` and `output`, by that label."""
    return {block.labels[0]: block.body for block in blocks(folder) if block.kind == kind}


def _unwrap(body: dict[str, Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Separate the labels from the body: python-hcl2 nests the body in one object per label."""
    labels = []
    while BLOCK not in body:
        ((label, body),) = body.items()
        labels.append(label.strip('"'))
    return tuple(labels), body

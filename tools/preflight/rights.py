"""Whether the caller may do what Terraform will do: iam SimulatePrincipalPolicy."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.preflight.findings import Line, guarded, ok, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.preflight.aws import Aws
    from tools.preflight.configuration import Configuration

ACTIONS = Path(__file__).with_name("actions.toml")


@dataclass(frozen=True)
class Group:
    """Actions of one service."""

    service: str
    resource: str
    """ARN of a resource that they are for, with placeholders."""
    provider: frozenset[str]
    others: frozenset[str]

    @property
    def actions(self) -> list[str]:
        """All of them."""
        return sorted(self.provider | self.others)


def groups() -> list[Group]:
    """Return the actions that an apply and a destroy need."""
    tables = tomllib.loads(ACTIONS.read_text(encoding="utf-8"))
    return [
        Group(
            service,
            table.get("resource", "*"),
            *(frozenset(f"{service}:{name}" for name in table.get(kind, ())) for kind in ("provider", "others")),
        )
        for service, table in tables.items()
    ]


def check(aws: Aws, configuration: Configuration, caller: str) -> Iterator[Line]:
    """Yield a line for each service; `caller` is an ARN as GetCallerIdentity returns it."""
    if caller.endswith(":root"):
        yield ok("rights", "the root user may do everything; use a role instead")
        return
    yield from guarded("rights", _simulate(aws, configuration, caller))


def _simulate(aws: Aws, configuration: Configuration, caller: str) -> Iterator[Line]:
    principal = _principal(aws, caller)
    partition, account = caller.split(":")[1], caller.split(":")[4]
    values = {
        "partition": partition,
        "account": account,
        "region": aws.region,
        "name": configuration.environment["SERVICE_NAME"],
    }
    pages = aws.client("iam").get_paginator("simulate_principal_policy")
    for group in groups():
        resource = group.resource.format(**values)
        answers = pages.paginate(PolicySourceArn=principal, ActionNames=group.actions, ResourceArns=[resource])
        yield _line(group, resource, [result for page in answers for result in page["EvaluationResults"]])


def _line(group: Group, resource: str, results: list[dict[str, Any]]) -> Line:
    denied = [item["EvalActionName"].partition(":")[2] for item in results if item["EvalDecision"] != "allowed"]
    subject = f"rights {group.service}"
    if denied:
        return wrong(subject, f"on {resource}, you may not {', '.join(denied)}: ask for them")
    return ok(subject, f"{len(group.actions)} actions allowed")


def _principal(aws: Aws, caller: str) -> str:
    """Return the ARN of the user or role; that of a session names neither the role's path nor its kind."""
    session = re.fullmatch(r"arn:[^:]+:sts::\d+:assumed-role/([^/]+)/.+", caller)
    if session is None:
        return caller
    return str(aws.client("iam").get_role(RoleName=session[1])["Role"]["Arn"])

"""The permissions of the IAM roles, read from the policies in AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True)
class Statement:
    """One statement with the effect Allow."""

    role: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    condition: dict[str, Any]

    def allows(self, action: str, resource: str) -> bool:
        """Whether action and resource match; this ignores the condition."""
        return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in self.actions) and any(
            fnmatchcase(resource, pattern) for pattern in self.resources
        )


def statements(iam: Any) -> Iterator[Statement]:
    """Yield the statements of every role's inline policies; `Deny` and negations are not expected."""
    for role in iam.list_roles()["Roles"]:
        name = role["RoleName"]
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            yield from _read(name, document if isinstance(document, dict) else json.loads(document))


def _read(role: str, document: dict[str, Any]) -> Iterator[Statement]:
    for entry in _listed(document["Statement"]):
        assert entry["Effect"] == "Allow"
        assert not {"NotAction", "NotResource"} & set(entry), f"{role} uses a negation"
        yield Statement(
            role, tuple(_listed(entry["Action"])), tuple(_listed(entry["Resource"])), entry.get("Condition", {})
        )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]

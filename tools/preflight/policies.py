"""Whether IAM accepts every policy of the configuration: access-analyzer ValidatePolicy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tools.preflight.findings import Line, guarded, ok, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.preflight.aws import Aws
    from tools.preflight.configuration import Configuration

_WRONG = {"ERROR", "SECURITY_WARNING"}
_IDENTITY_POLICIES = {"aws_iam_role_policy", "aws_iam_policy"}


def check(aws: Aws, configuration: Configuration) -> Iterator[Line]:
    """Yield a line for each policy."""
    for resource in configuration.resources:
        for name, value in resource.values.items():
            if _is_policy(value):
                subject = f"policy {resource.address}.{name}"
                yield from guarded(subject, _validate(aws, subject, value, _kind(resource.type, name)))


def _is_policy(value: Any) -> bool:
    if not isinstance(value, str) or not value.startswith("{"):
        return False
    try:
        return "Statement" in json.loads(value)
    except ValueError:
        return False


def _kind(resource_type: str, argument: str) -> dict[str, str]:
    if resource_type in _IDENTITY_POLICIES:
        return {"policyType": "IDENTITY_POLICY"}
    if argument == "assume_role_policy":
        kind = "AWS::IAM::AssumeRolePolicyDocument"
        return {"policyType": "RESOURCE_POLICY", "validatePolicyResourceType": kind}
    return {"policyType": "RESOURCE_POLICY"}


def _validate(aws: Aws, subject: str, document: str, kind: dict[str, str]) -> Iterator[Line]:
    pages = aws.client("accessanalyzer").get_paginator("validate_policy").paginate(policyDocument=document, **kind)
    findings = [finding for page in pages for finding in page["findings"]]
    refused = [finding for finding in findings if finding["findingType"] in _WRONG]
    if refused:
        yield wrong(subject, "; ".join(f"{item['issueCode']}: {item['findingDetails']}" for item in refused))
    else:
        advice = ", ".join(sorted({item["issueCode"] for item in findings}))
        yield ok(subject, f"valid (advice: {advice})" if advice else "valid")

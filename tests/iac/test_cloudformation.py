"""cfn-lint: the CloudFormation template and the workflow"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import lint
from cfnlint.config import ManualArgs

from service.local.asl.definition import render
from tests.iac.files import RELAY, TEMPLATE, WORKFLOW

pytestmark = pytest.mark.timeout(180)  # cfn-lint takes seconds even on an idle machine

VALUES = {
    "partition": "aws",
    "endpoint": "https://example.appsync-api.us-east-1.amazonaws.com/event",
    "connection_arn": "arn:aws:events:us-east-1:123456789012:connection/example/00000000",
    "wait_seconds": "10",
    "namespace": "AsyncEvents",
}


def found(template: str) -> list[str]:
    """Return the findings of cfn-lint, including informational ones."""
    matches = lint(template, config=ManualArgs(regions=["us-east-1"], include_checks=["I"]))
    return [f"{match.rule.id} {'/'.join(map(str, match.path or []))}: {match.message}" for match in matches]


def wrapped(definition: Any) -> str:
    """Return a template with this state machine, because cfn-lint checks only templates."""
    machine = {"RoleArn": "arn:aws:iam::123456789012:role/example", "Definition": definition}
    return json.dumps({"Resources": {"Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": machine}}})


def workflow(path: Path = WORKFLOW) -> Any:
    return json.loads(render(path.read_text(encoding="utf-8"), VALUES))


def test_cfn_lint_finds_nothing_in_the_template() -> None:
    assert found(TEMPLATE.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", [WORKFLOW, RELAY], ids=lambda path: path.name)
def test_cfn_lint_finds_nothing_in_the_workflow(path: Path) -> None:
    assert found(wrapped(workflow(path))) == []


@pytest.mark.parametrize("field", ["Nxt", "ResultPath"])
def test_cfn_lint_finds_an_invalid_field_of_a_state(field: str) -> None:
    definition = workflow()
    definition["States"][definition["StartAt"]][field] = "$.x"
    findings = found(wrapped(definition))
    assert findings
    assert all(finding.startswith("E3601 ") for finding in findings)


def test_cfn_lint_finds_an_invalid_property_of_appsync() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    assert any("Expirs" in finding for finding in found(text.replace("Expires: !Ref KeyA", "Expirs: !Ref KeyA")))

from __future__ import annotations

import pytest

from tests.tools.preflight.example import configuration
from tests.tools.preflight.stand_in import StandIn
from tools.preflight import policies
from tools.preflight.aws import Aws
from tools.preflight.findings import Verdict

TRUST = 'policy aws_iam_role.workflow["event"].assume_role_policy'
ROLE = 'policy aws_iam_role_policy.workflow["event"].policy'
KEY = "policy aws_kms_key.main[0].policy"


def test_each_policy_is_validated_as_what_it_is(account: StandIn, aws: Aws) -> None:
    lines = list(policies.check(aws, configuration()))
    assert [(line.verdict, line.subject) for line in lines] == [
        (Verdict.OK, TRUST),
        (Verdict.OK, ROLE),
        (Verdict.OK, KEY),
    ]
    asked = [call.parameters for call in account.calls]
    assert [(item["policyType"], item.get("validatePolicyResourceType")) for item in asked] == [
        ("RESOURCE_POLICY", "AWS::IAM::AssumeRolePolicyDocument"),
        ("IDENTITY_POLICY", None),
        ("RESOURCE_POLICY", None),
    ]


@pytest.mark.parametrize("kind", ["ERROR", "SECURITY_WARNING"])
def test_a_policy_with_a_fault_is_wrong(account: StandIn, aws: Aws, kind: str) -> None:
    account.findings["sts:AssumeRole"] = ["SUGGESTION", kind]
    lines = {line.subject: line for line in policies.check(aws, configuration())}
    assert lines[TRUST].verdict is Verdict.WRONG
    assert lines[TRUST].detail == "INVALID_ACTION: The action does not exist."
    assert lines[ROLE].verdict is Verdict.OK


@pytest.mark.parametrize("kind", ["WARNING", "SUGGESTION"])
def test_advice_is_not_wrong(account: StandIn, aws: Aws, kind: str) -> None:
    account.findings["sts:AssumeRole"] = [kind]
    lines = {line.subject: line for line in policies.check(aws, configuration())}
    assert (lines[TRUST].verdict, lines[TRUST].detail) == (Verdict.OK, "valid (advice: INVALID_ACTION)")


def test_other_documents_are_not_policies(aws: Aws) -> None:
    changes = {"aws_ecr_lifecycle_policy.service": {"policy": '{"rules": []}'}, "aws_lb.main": {"name": "{x"}}
    assert len(list(policies.check(aws, configuration({**changes})))) == 3


def test_without_permission_every_policy_is_unknown(account: StandIn, aws: Aws) -> None:
    account.deny("accessanalyzer:ValidatePolicy")
    assert {line.verdict for line in policies.check(aws, configuration())} == {Verdict.UNKNOWN}

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.iac.files import TEMPLATE
from tests.tools.preflight.example import configuration
from tests.tools.preflight.stand_in import Fault, StandIn, xml
from tools.preflight import stack
from tools.preflight.aws import Aws
from tools.preflight.findings import Verdict

pytestmark = pytest.mark.timeout(180)  # moto takes seconds to load all that CloudFormation creates


def failed(_: Any) -> str:
    result = "<Status>FAILED</Status><StatusReason>Properties validation failed</StatusReason>"
    return xml("DescribeChangeSet", result)


def refuse(_: Any) -> Any:
    raise Fault("ValidationError", "Template format error")


def stacks(aws: Aws) -> list[str]:
    return [item["StackName"] for item in aws.client("cloudformation").describe_stacks()["Stacks"]]


def test_a_change_set_is_created_and_deleted_but_never_executed(account: StandIn, aws: Aws) -> None:
    (line,) = stack.check(aws, configuration())
    count = len(re.findall(r"^    Type: AWS::", TEMPLATE.read_text(encoding="utf-8"), re.MULTILINE))
    assert (line.verdict, line.detail) == (Verdict.OK, f"a change set would create {count} resources")
    assert set(account.operations("cloudformation")) == {
        "CreateChangeSet",
        "DescribeChangeSet",
        "DeleteChangeSet",
        "DeleteStack",
    }
    assert stacks(aws) == []


def test_the_stack_never_has_the_name_that_terraform_will_use(account: StandIn, aws: Aws) -> None:
    list(stack.check(aws, configuration()))
    (created,) = [call.parameters for call in account.calls if call.operation == "CreateChangeSet"]
    assert created["StackName"].startswith("sync-front-appsync-preflight-")
    assert created["ChangeSetType"] == "CREATE"


def test_a_change_set_that_fails_is_wrong_and_deleted(account: StandIn, aws: Aws) -> None:
    account.answers["cloudformation:DescribeChangeSet"] = failed
    (line,) = stack.check(aws, configuration())
    assert (line.verdict, line.detail) == (Verdict.WRONG, "the change set is FAILED: Properties validation failed")
    assert stacks(aws) == []


def test_a_template_that_is_refused_is_wrong(account: StandIn, aws: Aws) -> None:
    account.answers["cloudformation:CreateChangeSet"] = refuse
    (line,) = stack.check(aws, configuration())
    assert line.verdict is Verdict.WRONG
    assert "Template format error" in line.detail


def test_what_cannot_be_deleted_is_named(account: StandIn, aws: Aws) -> None:
    account.deny("cloudformation:DeleteStack")
    first, second = stack.check(aws, configuration())
    (left,) = stacks(aws)
    assert (first.verdict, second.verdict) == (Verdict.OK, Verdict.WRONG)
    assert f"aws cloudformation delete-stack --stack-name {left} " in second.detail


def test_a_change_set_that_cannot_be_deleted_goes_with_its_stack(account: StandIn, aws: Aws) -> None:
    account.deny("cloudformation:DeleteChangeSet")
    assert [line.verdict for line in stack.check(aws, configuration())] == [Verdict.OK]
    assert stacks(aws) == []


def test_the_stack_is_deleted_if_the_change_set_cannot_be_read(account: StandIn, aws: Aws) -> None:
    account.deny("cloudformation:DescribeChangeSet")
    (line,) = stack.check(aws, configuration())
    assert line.verdict is Verdict.UNKNOWN
    assert stacks(aws) == []


def test_without_permission_the_stack_is_unknown(account: StandIn, aws: Aws) -> None:
    account.deny("cloudformation:CreateChangeSet")
    (line,) = stack.check(aws, configuration())
    assert line.verdict is Verdict.UNKNOWN

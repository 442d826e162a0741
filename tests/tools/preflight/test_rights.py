from __future__ import annotations

import pytest

from tests.tools.preflight.example import configuration
from tests.tools.preflight.stand_in import ACCOUNT, CALLER, ROLE, StandIn
from tools.preflight import rights
from tools.preflight.aws import Aws
from tools.preflight.findings import Line, Verdict


def lines(aws: Aws, caller: str = CALLER) -> dict[str, Line]:
    return {line.subject: line for line in rights.check(aws, configuration(), caller)}


def test_a_caller_with_all_permissions_is_right(account: StandIn, aws: Aws) -> None:
    found = lines(aws)
    assert {line.verdict for line in found.values()} == {Verdict.OK}
    assert {"rights iam", "rights ec2", "rights appsync"} <= found.keys()
    asked = [call.parameters for call in account.calls if call.operation == "SimulatePrincipalPolicy"]
    assert {item["PolicySourceArn"] for item in asked} == {ROLE}  # with the path that the session's ARN lacks
    assert f"arn:aws:iam::{ACCOUNT}:role/sync-front-task" in [item["ResourceArns"][0] for item in asked]


def test_every_permission_is_one_of_the_service_that_it_is_asked_for(account: StandIn, aws: Aws) -> None:
    lines(aws)
    asked = [call.parameters for call in account.calls if call.operation == "SimulatePrincipalPolicy"]
    assert [item["ResourceArns"] for item in asked if "{" in item["ResourceArns"][0]] == []
    for group in rights.groups():
        assert group.actions
        assert group.resource == "*" or f":{group.service}:" in group.resource


@pytest.mark.parametrize("action", ["iam:PassRole", "ec2:CreateVpc", "appsync:CreateApi"])
def test_a_missing_permission_is_wrong(account: StandIn, aws: Aws, action: str) -> None:
    account.denied.add(action)
    service, _, name = action.partition(":")
    (line,) = [line for line in lines(aws).values() if line.verdict is Verdict.WRONG]
    assert line.subject == f"rights {service}"
    assert f"you may not {name}: ask for them" in line.detail


def test_a_user_is_simulated_as_it_is(account: StandIn, aws: Aws) -> None:
    user = f"arn:aws:iam::{ACCOUNT}:user/ada"
    lines(aws, user)
    (first, *_) = account.calls
    assert first.parameters["PolicySourceArn"] == user


def test_the_root_user_is_not_simulated(account: StandIn, aws: Aws) -> None:
    assert [line.verdict for line in lines(aws, f"arn:aws:iam::{ACCOUNT}:root").values()] == [Verdict.OK]
    assert account.calls == []


@pytest.mark.parametrize("operation", ["GetRole", "SimulatePrincipalPolicy"])
def test_without_permission_the_rights_are_unknown(account: StandIn, aws: Aws, operation: str) -> None:
    account.deny(f"iam:{operation}")
    (line,) = lines(aws).values()
    assert (line.verdict, line.detail) == (Verdict.UNKNOWN, f"not allowed to look: {operation} is denied")

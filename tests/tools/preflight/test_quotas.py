from __future__ import annotations

import pytest

from tests.tools.preflight.example import configuration
from tests.tools.preflight.stand_in import StandIn
from tools.preflight import quotas
from tools.preflight.aws import Aws
from tools.preflight.findings import Line, Verdict


def lines(aws: Aws) -> dict[str, Line]:
    return {line.subject.removeprefix("quota "): line for line in quotas.check(aws, configuration())}


def test_the_default_quotas_are_enough_for_the_default_configuration(aws: Aws) -> None:
    assert {name: line.detail for name, line in lines(aws).items()} == {
        "step_functions_quotas.describe": "300/15",
        "step_functions_quotas.list": "200/5",
        "step_functions_quotas.history": "400/20",
        "StartExecution per second": "50 of 300",
        "Fargate vCPUs": "5 of 6",
        "API Gateway timeout in milliseconds": "29000 of 29000",
        "Elastic IP addresses": "1 of 5",
    }


@pytest.mark.parametrize(
    ("account_has", "name", "remedy"),
    [
        ({"L-A0B4DA4A": 250, "L-4A5FADE3": 10}, "describe", 'set describe = "250/10" in terraform.tfvars'),
        ({"L-1342F2DA": 2}, "list", 'set list = "200/2" in terraform.tfvars'),
        ({"L-F9699A68": 100}, "history", 'set history = "100/20" in terraform.tfvars'),
    ],
)
def test_a_setting_above_the_accounts_quota_is_wrong(
    account: StandIn, aws: Aws, account_has: dict[str, float], name: str, remedy: str
) -> None:
    account.quotas.update(account_has)
    line = lines(aws)[f"step_functions_quotas.{name}"]
    assert line.verdict is Verdict.WRONG
    assert remedy in line.detail


def test_a_setting_below_the_accounts_quota_is_right(account: StandIn, aws: Aws) -> None:
    account.quotas.update({"L-A0B4DA4A": 1000, "L-4A5FADE3": 50})
    line = lines(aws)["step_functions_quotas.describe"]
    assert (line.verdict, line.detail) == (Verdict.OK, "300/15; the account has 1000/50")


@pytest.mark.parametrize(
    ("code", "value", "name", "remedy"),
    [
        ("L-1B55A735", 40, "StartExecution per second", "50 of 40: lower api_throttle.rate, or ask AWS for more"),
        ("L-3032A538", 4, "Fargate vCPUs", "5 of 4: lower task_count.max, or ask AWS for more"),
        ("L-E5AE38E3", 20000, "API Gateway timeout in milliseconds", "lower timeouts.api_gateway"),
        ("L-0263D0A3", 0, "Elastic IP addresses", "1 of 0: use an existing_vpc"),
    ],
)
def test_a_quota_that_is_too_small_is_wrong(
    account: StandIn, aws: Aws, code: str, value: float, name: str, remedy: str
) -> None:
    account.quotas[code] = value
    line = lines(aws)[name]
    assert line.verdict is Verdict.WRONG
    assert remedy in line.detail


def test_addresses_in_use_count(aws: Aws) -> None:
    for _ in range(5):
        aws.client("ec2").allocate_address(Domain="vpc")
    line = lines(aws)["Elastic IP addresses"]
    assert line.verdict is Verdict.WRONG
    assert line.detail.startswith("6 of 5")


@pytest.mark.parametrize("operation", ["GetServiceQuota", "GetAWSDefaultServiceQuota"])
def test_without_permission_the_quotas_are_unknown(account: StandIn, aws: Aws, operation: str) -> None:
    account.deny(f"service-quotas:{operation}")
    assert {line.verdict for line in lines(aws).values()} == {Verdict.UNKNOWN}

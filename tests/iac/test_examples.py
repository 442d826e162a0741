"""Examples: planned against moto"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.iac.applied.world import ACCOUNT, REGION, client, clients_environment, moto
from tests.iac.files import EXAMPLES, MODULE, blocks, named
from tests.iac.terraform import Terraform, TerraformFailed
from tests.iac.vpc_links import supports_links

pytestmark = [pytest.mark.iac, pytest.mark.timeout(2000)]

COMPLETE = {
    "image_tag": "1.2.3",
    "billing_state_machine_arn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:billing:PROD",
    "certificate_arn": f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/1",
    "hosted_zone_id": "Z0123456789",
    "kms_key_arn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/99999999-0000-0000-0000-000000000000",
    "permissions_boundary_arn": f"arn:aws:iam::{ACCOUNT}:policy/boundary",
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an account without deployments."""
    with moto(tmp_path_factory.mktemp("account") / "calls.jsonl") as url:
        yield url


def planned(url: str, folder: Path, example: str, variables: dict[str, str]) -> dict[str, Any]:
    """Return what an example would create: the known values, by address."""
    configuration = next(path for path in EXAMPLES if path.name == example)
    terraform = Terraform(folder / "IaC", fetch=False, env=clients_environment(url), configuration=configuration)
    terraform("plan", "-out=next.plan", *(f"-var={name}={value}" for name, value in variables.items()))
    changes = terraform.json("show", "next.plan")["resource_changes"]
    return {change["address"]: change["change"]["after"] for change in changes}


def existing(url: str, *, with_links: bool) -> dict[str, str]:
    """Return variables for two subnets of the default VPC: of zones with VPC links, or one of them without."""
    found = client(url, "ec2").describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
    found.sort(key=lambda subnet: supports_links(subnet["AvailabilityZoneId"]), reverse=with_links)
    assert supports_links(found[0]["AvailabilityZoneId"]) == with_links
    ids = ", ".join(f'"{subnet["SubnetId"]}"' for subnet in found[:2])
    return {"vpc_id": found[0]["VpcId"], "private_subnet_ids": f"[{ids}]", "image_uri": "registry.example/front:1.2.3"}


def test_every_example_sets_variables_of_the_module() -> None:
    assert {path.name for path in EXAMPLES} == {"complete", "existing-vpc"}
    for path in EXAMPLES:
        (call,) = [block.body for block in blocks(path) if block.kind == "module"]
        arguments = {name for name in call if not name.startswith("__")}
        assert arguments - {"source", "for_each"} < set(named("variable", MODULE))


def test_the_complete_example_has_every_option_and_its_workflows(url: str, tmp_path: Path) -> None:
    resources = planned(url, tmp_path, "complete", COMPLETE)
    for optional in ("aws_api_gateway_domain_name", "aws_route53_record", "aws_ecs_cluster_capacity_providers"):
        assert f"module.sync_front.{optional}.main[0]" in resources
    assert not [address for address in resources if ".aws_kms_" in address]
    assert [address for address in resources if ".aws_sfn_state_machine.workflow" in address] == [
        'module.sync_front.aws_sfn_state_machine.workflow["checkout"]',
        'module.sync_front.aws_sfn_state_machine.workflow["quote"]',
    ]
    rules = {
        mode: json.loads(resources[f'module.sync_front.aws_cloudwatch_event_rule.ended["{mode}"]']["event_pattern"])
        for mode in ("envelope", "event")
    }
    arn = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:"
    assert {mode: rule["detail"]["stateMachineArn"] for mode, rule in rules.items()} == {
        "envelope": [f"{arn}orders-front-workflow-checkout"],
        "event": [f"{arn}billing", f"{arn}orders-front-workflow-quote"],
    }


def test_one_call_of_the_module_makes_two_deployments_in_an_existing_vpc(url: str, tmp_path: Path) -> None:
    addresses = planned(url, tmp_path, "existing-vpc", existing(url, with_links=True))
    for name in ("orders", "billing"):
        assert f'module.sync_front["{name}"].aws_ecs_service.main' in addresses
    assert not [address for address in addresses if ".aws_vpc." in address or ".aws_nat_gateway." in address]


def test_the_plan_refuses_a_subnet_in_a_zone_without_vpc_links(url: str, tmp_path: Path) -> None:
    with pytest.raises(TerraformFailed, match="has a subnet in an availability zone that VPC links do"):
        planned(url, tmp_path, "existing-vpc", existing(url, with_links=False))

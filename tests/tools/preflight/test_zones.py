from __future__ import annotations

from typing import Any

import pytest

from tests.tools.preflight.example import configuration
from tests.tools.preflight.stand_in import StandIn
from tools.preflight import zones
from tools.preflight.aws import Aws
from tools.preflight.findings import Line, Verdict

SOURCE = "data.aws_availability_zones.available"
# In the stand-in's account, us-east-1e is use1-az3, which has no VPC links.


def new_vpc(aws: Aws, count: int, **source: Any) -> Line:
    """Return the line about a new VPC with so many zones."""
    names = [f"us-east-1{letter}" for letter in "abcdef"[:count]]
    subnets: dict[str, Any] = {f'aws_subnet.{kind}["{name}"]': {} for kind in ("private", "public") for name in names}
    (line,) = zones.check(aws, configuration({**subnets, SOURCE: source}))
    return line


def existing_vpc(aws: Aws, *letters: str) -> list[Line]:
    """Return the lines about an existing VPC with subnets in these zones."""
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ids = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"us-east-1{letter}")["Subnet"][
            "SubnetId"
        ]
        for number, letter in enumerate(letters)
    ]
    none = {f'aws_subnet.{kind}["us-east-1{letter}"]': None for kind in ("private", "public") for letter in "ab"}
    return list(zones.check(aws, configuration({**none, "aws_apigatewayv2_vpc_link.main": {"subnet_ids": ids}})))


def test_zones_with_vpc_links_are_right(aws: Aws) -> None:
    line = new_vpc(aws, 2)
    assert (line.verdict, line.detail) == (
        Verdict.OK,
        "VPC links (V2) can be created in us-east-1a (use1-az6), us-east-1b (use1-az1)",
    )


def test_a_zone_without_vpc_links_is_wrong(aws: Aws) -> None:
    line = new_vpc(aws, 5)
    assert line.verdict is Verdict.WRONG
    assert "no VPC link (V2) can be created in us-east-1e (use1-az3): use an existing_vpc" in line.detail


@pytest.mark.parametrize("source", [{"exclude_zone_ids": ["use1-az3"]}, {"exclude_names": ["us-east-1e"]}])
def test_zones_that_the_configuration_excludes_are_not_used(aws: Aws, source: dict[str, Any]) -> None:
    line = new_vpc(aws, 5, **source)
    assert line.verdict is Verdict.OK
    assert "us-east-1f" in line.detail


def test_too_few_zones_are_wrong(aws: Aws) -> None:
    line = new_vpc(aws, 3, exclude_names=["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d"])
    assert (line.verdict, line.detail) == (
        Verdict.WRONG,
        "the VPC needs 3 zones, and this account has 2: lower zone_count",
    )


def test_the_subnets_of_an_existing_vpc_are_looked_at(aws: Aws) -> None:
    (line,) = existing_vpc(aws, "a", "b")
    assert line.verdict is Verdict.OK
    (line,) = existing_vpc(aws, "a", "e")
    assert line.verdict is Verdict.WRONG
    assert "(use1-az3): choose subnets in other zones" in line.detail


def test_subnets_in_one_zone_are_wrong(aws: Aws) -> None:
    assert [line.verdict for line in existing_vpc(aws, "a", "a")] == [Verdict.OK, Verdict.WRONG]


def test_a_subnet_that_does_not_exist_is_wrong(aws: Aws) -> None:
    none = {f'aws_subnet.{kind}["us-east-1{letter}"]': None for kind in ("private", "public") for letter in "ab"}
    (line,) = zones.check(aws, configuration({**none}))
    assert line.verdict is Verdict.WRONG
    assert "InvalidSubnetID.NotFound" in line.detail


def test_without_permission_the_zones_are_unknown(account: StandIn, aws: Aws) -> None:
    account.deny("ec2:DescribeAvailabilityZones")
    assert new_vpc(aws, 2).verdict is Verdict.UNKNOWN

"""Whether the VPC link can be created in the availability zones that the configuration uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.preflight.findings import Line, guarded, ok, wrong

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tools.preflight.aws import Aws
    from tools.preflight.configuration import Configuration

# By id: what a zone is called differs from account to account.
# Source: API Gateway Developer Guide, "Set up VPC links V2 in API Gateway".
WITHOUT_VPC_LINKS = frozenset({"ape1-az1", "apne1-az3", "apne2-az4", "cac1-az4", "euw3-az2", "use1-az3", "usw1-az2"})

_SUBJECT = "zones"


def check(aws: Aws, configuration: Configuration) -> Iterator[Line]:
    """Yield one line, about a new VPC or an existing one."""
    count = len(configuration.all("aws_subnet")) // 2  # a private and a public one in each zone
    found = _new(aws, configuration, count) if count else _existing(aws, configuration)
    yield from guarded(_SUBJECT, found)


def _new(aws: Aws, configuration: Configuration, count: int) -> Iterator[Line]:
    source = configuration.values("data.aws_availability_zones.available")
    filters = [{"Name": item["name"], "Values": list(item["values"])} for item in source["filter"] or []]
    filters.append({"Name": "state", "Values": [source["state"]]})
    available = {
        zone["ZoneName"]: zone["ZoneId"]
        for zone in aws.client("ec2").describe_availability_zones(Filters=filters)["AvailabilityZones"]
        if zone["ZoneId"] not in (source["exclude_zone_ids"] or [])
        and zone["ZoneName"] not in (source["exclude_names"] or [])
    }
    taken = {name: available[name] for name in sorted(available)[:count]}
    if len(taken) < count:
        yield wrong(_SUBJECT, f"the VPC needs {count} zones, and this account has {len(taken)}: lower zone_count")
    else:
        yield from _judge(taken, "use an existing_vpc with subnets in other zones")


def _existing(aws: Aws, configuration: Configuration) -> Iterator[Line]:
    ids = configuration.values("aws_apigatewayv2_vpc_link.main")["subnet_ids"]
    subnets = aws.client("ec2").describe_subnets(SubnetIds=ids)["Subnets"]
    zones = {subnet["SubnetId"]: subnet["AvailabilityZoneId"] for subnet in subnets}
    yield from _judge(zones, "choose subnets in other zones (existing_vpc.private_subnet_ids)")
    if len(set(zones.values())) < 2:
        yield wrong(_SUBJECT, "the load balancer needs subnets in two zones")


def _judge(zones: dict[str, str], remedy: str) -> Iterator[Line]:
    unfit = {name: zone for name, zone in zones.items() if zone in WITHOUT_VPC_LINKS}
    if unfit:
        yield wrong(_SUBJECT, f"no VPC link (V2) can be created in {_list(unfit)}: {remedy}")
    else:
        yield ok(_SUBJECT, f"VPC links (V2) can be created in {_list(zones)}")


def _list(zones: dict[str, str]) -> str:
    names: Iterable[str] = (f"{name} ({zone})" for name, zone in zones.items())
    return ", ".join(names)

"""Whether the account's quotas are large enough for the configuration: Service Quotas."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tools.preflight.findings import Line, guarded, ok, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.preflight.aws import Aws
    from tools.preflight.configuration import Configuration

# Codes of Service Quotas: the size of the token bucket, and its refill per second.
_READS = {
    "describe": ("DESCRIBE_QUOTA", "L-A0B4DA4A", "L-4A5FADE3"),
    "list": ("LIST_QUOTA", "L-7A4BEE15", "L-1342F2DA"),
    "history": ("HISTORY_QUOTA", "L-F9699A68", "L-144D81B0"),
}


@dataclass(frozen=True)
class Need:
    """A quota, and how much of it the configuration needs."""

    name: str
    service: str
    code: str
    needed: float
    remedy: str


def check(aws: Aws, configuration: Configuration) -> Iterator[Line]:
    """Yield a line for each quota."""
    for name, (variable, *codes) in _READS.items():
        subject = f"quota step_functions_quotas.{name}"
        yield from guarded(subject, _reads(aws, subject, name, configuration.environment[variable], codes))
    for need in _needs(configuration):
        yield from guarded(f"quota {need.name}", _compare(aws, need))
    yield from guarded("quota Elastic IP addresses", _addresses(aws, len(configuration.all("aws_eip"))))


def _reads(aws: Aws, subject: str, name: str, configured: str, codes: list[str]) -> Iterator[Line]:
    """Compare a quota of the variable with the account's."""
    account = "/".join(f"{_value(aws, 'states', code):.0f}" for code in codes)
    theirs, ours = ([int(part) for part in text.split("/")] for text in (account, configured))
    if ours[0] > theirs[0] or ours[1] > theirs[1]:
        yield wrong(subject, f'{configured} is more than the account has: set {name} = "{account}" in terraform.tfvars')
    else:
        yield ok(subject, configured if ours == theirs else f"{configured}; the account has {account}")


def _needs(configuration: Configuration) -> Iterator[Need]:
    (settings,) = configuration.values("aws_api_gateway_method_settings.all")["settings"]
    task = configuration.values("aws_ecs_task_definition.service")
    tasks = configuration.values("aws_appautoscaling_target.service")["max_capacity"]
    raise_it = "ask AWS for more (Service Quotas)"
    yield Need(
        "StartExecution per second",
        "states",
        "L-1B55A735",
        settings["throttling_rate_limit"],
        f"lower api_throttle.rate, or {raise_it}",
    )
    yield Need(
        "Fargate vCPUs",
        "fargate",
        "L-3032A538",
        tasks * int(task["cpu"]) / 1024,
        f"lower task_count.max, or {raise_it}",
    )
    yield Need(
        "API Gateway timeout in milliseconds",
        "apigateway",
        "L-E5AE38E3",
        _buffered_timeout(configuration.values("aws_api_gateway_rest_api.main")["body"]),
        f"lower timeouts.api_gateway, or {raise_it}",
    )


def _buffered_timeout(document: str) -> float:
    """Return the longest timeout of the integrations that do not stream, to which alone the quota applies."""
    methods = [method for path in json.loads(document)["paths"].values() for method in path.values()]
    integrations = [method["x-amazon-apigateway-integration"] for method in methods]
    return max(float(item["timeoutInMillis"]) for item in integrations if item.get("responseTransferMode") != "STREAM")


def _compare(aws: Aws, need: Need) -> Iterator[Line]:
    limit = _value(aws, need.service, need.code)
    text = f"{need.needed:g} of {limit:g}"
    yield (
        ok(f"quota {need.name}", text)
        if need.needed <= limit
        else wrong(f"quota {need.name}", f"{text}: {need.remedy}")
    )


def _addresses(aws: Aws, needed: int) -> Iterator[Line]:
    used = len(aws.client("ec2").describe_addresses()["Addresses"])
    remedy = "use an existing_vpc, release unused addresses, or ask AWS for more (Service Quotas)"
    need = Need("Elastic IP addresses", "ec2", "L-0263D0A3", used + needed, remedy)
    yield from _compare(aws, need)


def _value(aws: Aws, service: str, code: str) -> float:
    """Return the account's quota, or AWS's default for accounts without one of their own."""
    client = aws.client("service-quotas")
    quota: dict[str, Any] = {"ServiceCode": service, "QuotaCode": code}
    try:
        return float(client.get_service_quota(**quota)["Quota"]["Value"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchResourceException":
            raise
        return float(client.get_aws_default_service_quota(**quota)["Quota"]["Value"])

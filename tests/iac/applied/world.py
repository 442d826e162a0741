"""The applied configuration: Terraform, the stand-in for AWS that it was applied to, and access to both."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3

from tests.iac.files import ROOT
from tests.iac.terraform import Terraform

MODULE = "module.sync_front."
"""The beginning of every address in the state."""
REGION = "us-east-1"
ACCOUNT = "123456789012"
FIRST, SECOND = "0.1.0", "0.2.0"  # releases of the service

# The example file for variables; every command uses it.
EXAMPLE = "-var-file=terraform.tfvars.example"


def clients_environment(url: str) -> dict[str, str]:
    """Return an environment in which every AWS SDK, including that of Terraform's provider, uses this server."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "2",
    }


def client(url: str, service: str) -> Any:
    """Return a client for an AWS service of the stand-in at this URL."""
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)
    return session.client(service, endpoint_url=url)


@contextmanager
def moto(calls: Path) -> Iterator[str]:
    """Run moto's server in a separate process, which records Terraform's calls in a file; yield its URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.iac.moto_aws", str(calls)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.communicate(timeout=60)


@dataclass
class World:
    """One system, from its first apply to its destruction."""

    url: str
    terraform: Terraform
    calls: Path
    """Every call of Terraform's provider, one a line."""
    took: dict[str, float] = field(default_factory=dict)
    """Duration of each step, in seconds."""
    created_first: list[str] = field(default_factory=list)
    """The resources that the apply of the repository alone created."""
    first: Counts = field(default_factory=lambda: Counts(0, 0, 0))
    """The result of the first apply of everything."""

    def client(self, service: str) -> Any:
        """Return a client for an AWS service."""
        return client(self.url, service)

    def apply(self, *arguments: str, step: str) -> Counts:
        """Apply and return the result; `step` names it in the report."""
        return self._apply(EXAMPLE, *arguments, step=step)

    def apply_plan(self, plan: Plan, *, step: str) -> Counts:
        """Apply a saved plan."""
        return self._apply(str(plan.path), step=step)

    def _apply(self, *arguments: str, step: str) -> Counts:
        start = time.monotonic()
        output = self.terraform("apply", "-auto-approve", *arguments)
        self.took[step] = time.monotonic() - start
        self.__dict__.pop("outputs", None)
        return Counts.parse(r"Apply complete! Resources: (\d+) added, (\d+) changed, (\d+) destroyed", output)

    def destroy(self) -> Counts:
        """Destroy everything and return the result."""
        start = time.monotonic()
        output = self.terraform("destroy", "-auto-approve", EXAMPLE)
        self.took["destroy"] = time.monotonic() - start
        return Counts.parse(r"()()Destroy complete! Resources: (\d+) destroyed", output)

    def plan(self, *arguments: str) -> Plan:
        """Return a plan."""
        path = self.terraform.folder / "next.plan"
        self.terraform("plan", f"-out={path}", EXAMPLE, *arguments)
        return Plan(path, self.terraform.json("show", str(path)))

    @cached_property
    def outputs(self) -> dict[str, Any]:
        """The outputs, by name."""
        return {name: output["value"] for name, output in self.terraform.json("output").items()}

    @property
    def resources(self) -> list[str]:
        """Addresses of the resources in the state, within the module and without data sources."""
        addresses = [line.removeprefix(MODULE) for line in self.terraform("state", "list").splitlines()]
        return [address for address in addresses if not address.startswith("data.")]

    def secret(self, arn: str) -> dict[str, Any]:
        """Return the value of a secret that is a JSON object."""
        value: dict[str, Any] = json.loads(self.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"])
        return value

    def connection(self) -> dict[str, Any]:
        """Return the EventBridge connection with which the workflow publishes."""
        name = self.outputs["connection_arn"].split("/")[1]
        described: dict[str, Any] = self.client("events").describe_connection(Name=name)
        return described

    def valid_keys(self) -> set[str]:
        """Return the AppSync API keys that are valid now, as clients send them."""
        appsync = self.client("appsync")
        (api,) = appsync.list_apis()["apis"]
        return {f"da2-{key['id']}" for key in appsync.list_api_keys(apiId=api["apiId"])["apiKeys"]}

    def task(self) -> dict[str, Any]:
        """Return the task definition that the ECS service runs."""
        ecs = self.client("ecs")
        (service,) = ecs.describe_services(
            cluster=self.outputs["ecs_cluster_name"], services=[self.outputs["ecs_service_arn"]]
        )["services"]
        definition: dict[str, Any] = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])
        return definition["taskDefinition"]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Counts:
    """The numbers of resources that an apply added, changed and destroyed."""

    added: int
    changed: int
    destroyed: int

    @classmethod
    def parse(cls, pattern: str, output: str) -> Counts:
        match = re.search(pattern, output)
        assert match, output
        return cls(*(int(group or 0) for group in match.groups()))


# Arguments that moto does not return, so every plan wants to change them. AWS returns them.
OMITTED_BY_MOTO = {
    "aws_appautoscaling_target.service": {"tags_all"},
    "aws_ecs_service.main": {"availability_zone_rebalancing", "health_check_grace_period_seconds"},
    "aws_vpc_security_group_egress_rule.balancer_to_tasks": {"description"},
    "aws_vpc_security_group_egress_rule.link_to_balancer": {"description"},
    "aws_vpc_security_group_ingress_rule.balancer_from_link": {"description"},
    "aws_vpc_security_group_ingress_rule.tasks_from_balancer": {"description"},
}


class Plan:
    """A plan in Terraform's JSON form."""

    def __init__(self, path: Path, document: dict[str, Any]) -> None:
        self.path = path
        self.moved = sum("previous_address" in change for change in document.get("resource_changes", []))
        self._changes = {
            change["address"].removeprefix(MODULE): change["change"]
            for change in document.get("resource_changes", [])
            if change["mode"] == "managed" and change["change"]["actions"] != ["no-op"]
        }

    @property
    def actions(self) -> dict[str, str]:
        """The actions by resource, for example `update` or `delete create`, without updates of what moto omits."""
        return {
            address: " ".join(change["actions"])
            for address, change in self._changes.items()
            if change["actions"] != ["update"] or _arguments(change) - OMITTED_BY_MOTO.get(address, set())
        }


def _arguments(change: dict[str, Any]) -> set[str]:
    """Return the arguments that an update would change."""
    before, after, unknown = change["before"], change["after"], change["after_unknown"]
    return {name for name in {**after, **unknown} if unknown.get(name) or before.get(name) != after.get(name)}


def first_apply(folder: Path, url: str, calls: Path, *, fetch: bool) -> World:
    """Deploy as the README describes: the repository, an image in it, everything else."""
    start = time.monotonic()
    world = World(url, Terraform(folder / "IaC", fetch=fetch, env=clients_environment(url)), calls)
    world.took["init"] = time.monotonic() - start
    world.apply(f"-target={MODULE}aws_ecr_repository.service", step="apply of the empty repository")
    world.created_first = world.resources
    push(world, FIRST)
    world.first = world.apply(step="apply of everything (60 s of it, the provider waits for the load balancer)")
    return world


def push(world: World, tag: str) -> None:
    """Put an image into the repository, as `docker push` would."""
    repository = next(iter(world.client("ecr").describe_repositories()["repositories"]))["repositoryName"]
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": f"sha256:{tag.encode().hex():0>64}",
            "size": 0,
        },
        "layers": [],
    }
    world.client("ecr").put_image(repositoryName=repository, imageManifest=json.dumps(manifest), imageTag=tag)

"""The configuration with the user's variables, as Terraform evaluates it with a mocked provider: no call of AWS."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

# The folder of the test file, in the folder of the configuration.
_TESTS = "preflight"

# Before the address of a resource in a module: module.name. or module.name["key"].
_MODULES = re.compile(r"^(module\.[^.\[]+(\[[^\]]*\])?\.)+")


class ConfigurationError(Exception):
    """Terraform does not accept the configuration; the message is Terraform's."""


@dataclass(frozen=True)
class Resource:
    """A resource or a data source, with the values of its arguments."""

    address: str
    values: dict[str, Any]

    @property
    def type(self) -> str:
        """The type, for example `aws_iam_role`."""
        return self.address.removeprefix("data.").partition(".")[0]


class Configuration:
    """Every resource of the configuration."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self._resources = {resource.address: resource for resource in resources}

    @property
    def resources(self) -> list[Resource]:
        """All resources, in the order of their addresses."""
        return list(self._resources.values())

    def all(self, kind: str) -> list[Resource]:
        """Return the resources of a type."""
        return [resource for resource in self.resources if resource.type == kind]

    def values(self, address: str) -> dict[str, Any]:
        """Return the values of the resource with this address."""
        return self._resources[address].values

    @cached_property
    def container(self) -> dict[str, Any]:
        """The definition of the service's container."""
        (container,) = json.loads(self.values("aws_ecs_task_definition.service")["container_definitions"])
        return dict(container)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the service."""
        return {item["name"]: item["value"] for item in self.container["environment"]}

    @property
    def workflows(self) -> dict[str, dict[str, Any]]:
        """The tables of the workflows in the service's setting, by name."""
        tables: dict[str, dict[str, Any]] = json.loads(self.environment["WORKFLOWS"])
        return tables

    @property
    def region(self) -> str:
        """The AWS region."""
        return str(self.container["logConfiguration"]["options"]["awslogs-region"])


def read(folder: Path) -> Configuration:
    """Evaluate the initialised configuration in a folder; ConfigurationError if Terraform refuses it."""
    command = ["terraform", f"-chdir={folder}", "test", "-json", "-verbose", f"-test-directory={_TESTS}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    except FileNotFoundError:
        raise ConfigurationError("terraform is not on the PATH") from None
    except subprocess.TimeoutExpired:
        raise ConfigurationError("terraform did not end within five minutes") from None
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode:
        raise ConfigurationError("; ".join(_errors(messages)) or done.stderr.strip() or "terraform test failed")
    return parse(messages)


def parse(messages: Iterable[dict[str, Any]]) -> Configuration:
    """Return the configuration in the messages that `terraform test -json -verbose` prints."""
    (state,) = [message["test_state"] for message in messages if message.get("type") == "test_state"]
    return Configuration(_resources(state["root_module"]))


def _resources(module: dict[str, Any]) -> Iterator[Resource]:
    """Yield the resources of a module and of the modules in it, by their addresses within their own module."""
    for item in module.get("resources", ()):
        yield Resource(_MODULES.sub("", item["address"]), item["values"])
    for child in module.get("child_modules", ()):
        yield from _resources(child)


def _errors(messages: Iterable[dict[str, Any]]) -> list[str]:
    found = [message["diagnostic"] for message in messages if message.get("type") == "diagnostic"]
    return [f"{item['summary']}: {item['detail']}" for item in found if item["severity"] == "error"]

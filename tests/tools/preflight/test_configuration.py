from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tools.preflight.configuration import Configuration, ConfigurationError, Resource, read

ROLE = {"address": 'aws_iam_role.logs["a"]', "values": {"name": "a"}}
ZONES = {"address": "module.front.data.aws_availability_zones.available", "values": {"state": "available"}}
QUEUE = {"address": 'module.front["a.b"].module.ended.aws_sqs_queue.ended', "values": {}}
MODULES = [{"resources": [ZONES], "child_modules": [{"resources": [QUEUE]}]}]
STATE = {"type": "test_state", "test_state": {"root_module": {"resources": [ROLE], "child_modules": MODULES}}}
REFUSED = {"type": "diagnostic", "diagnostic": {"severity": "error", "summary": "Invalid value", "detail": "Too long."}}
WARNING = {"type": "diagnostic", "diagnostic": {"severity": "warning", "summary": "Old", "detail": "Rotate it."}}


def terraform(folder: Path, monkeypatch: pytest.MonkeyPatch, messages: list[Any], status: int) -> None:
    """Put a `terraform` on the PATH that prints these messages."""
    command = folder / "terraform"
    lines = "\n".join(json.dumps(message) for message in messages)
    command.write_text(f"#!/bin/sh\necho \"$@\" > '{folder}/arguments'\ncat <<'END'\n{lines}\nEND\nexit {status}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_the_state_of_terraforms_test_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terraform(tmp_path, monkeypatch, [{"type": "version"}, WARNING, STATE], 0)
    found = read(tmp_path)
    assert [(resource.address, resource.type) for resource in found.resources] == [
        ('aws_iam_role.logs["a"]', "aws_iam_role"),
        ("data.aws_availability_zones.available", "aws_availability_zones"),
        ("aws_sqs_queue.ended", "aws_sqs_queue"),
    ]
    assert found.values("data.aws_availability_zones.available") == {"state": "available"}
    assert [resource.values for resource in found.all("aws_iam_role")] == [{"name": "a"}]
    arguments = (tmp_path / "arguments").read_text().split()
    assert arguments == [f"-chdir={tmp_path}", "test", "-json", "-verbose", "-test-directory=preflight"]


def test_what_terraform_refuses_is_an_error_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terraform(tmp_path, monkeypatch, [WARNING, REFUSED], 1)
    with pytest.raises(ConfigurationError, match=r"^Invalid value: Too long\.$"):
        read(tmp_path)


def test_a_missing_terraform_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="not on the PATH"):
        read(tmp_path)


def test_the_settings_of_the_service_are_those_of_its_container() -> None:
    container = {
        "environment": [{"name": "SERVICE_NAME", "value": "front"}],
        "logConfiguration": {"options": {"awslogs-region": "eu-west-1"}},
    }
    values = {"container_definitions": json.dumps([container])}
    found = Configuration([Resource("aws_ecs_task_definition.service", values)])
    assert (found.region, found.environment) == ("eu-west-1", {"SERVICE_NAME": "front"})

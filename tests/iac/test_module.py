"""Module: the root passes everything on, and deployments of the time before it are moved"""

from __future__ import annotations

import re

import pytest

from service.app.workflows import RESERVED_PATHS, WorkflowSettings
from tests.iac.files import MODULE, NEWER_THAN_MODULE, TERRAFORM, blocks, named

pytestmark = pytest.mark.timeout(180)  # the parser takes seconds even on an idle machine

# Those of the provider, which the module leaves to its caller.
OF_THE_PROVIDER = {"region", "tags"}


def test_the_module_has_no_provider_so_it_works_with_for_each() -> None:
    assert [block.address for block in blocks(MODULE) if block.kind == "provider"] == []


def test_the_root_has_the_variables_of_the_module_and_passes_each_on() -> None:
    root, module = named("variable"), named("variable", MODULE)
    assert {name: body for name, body in root.items() if name not in OF_THE_PROVIDER} == module
    (call,) = [block.body for block in blocks(TERRAFORM) if block.kind == "module"]
    assert {name: call[name] for name in module} == {name: f"${{var.{name}}}" for name in module}


def test_the_root_has_the_outputs_of_the_module() -> None:
    root, module = named("output"), named("output", MODULE)
    assert list(root) == list(module)
    for name, output in root.items():
        assert output["value"] == f"${{module.sync_front.{name}}}"
        assert output["description"] == module[name]["description"]


def test_a_workflow_has_the_keys_of_the_services_own_setting_and_what_makes_its_state_machine() -> None:
    text = (
        (MODULE / "variables.tf").read_text(encoding="utf-8").partition('variable "workflows"')[2].partition("\n}\n")[0]
    )
    members = re.findall(r"^    (\w+) += optional\(", text, re.MULTILINE)
    assert set(members) == WorkflowSettings.model_fields.keys() - {"name", "mocks"} | {
        "definition_vars",
        "role_statements",
    }
    assert all(path in text for path in RESERVED_PATHS)


def test_every_resource_that_was_in_the_root_is_moved() -> None:
    moves = {
        block.body["from"].strip("${}"): block.body["to"].strip("${}")
        for block in blocks(TERRAFORM)
        if block.kind == "moved"
    }
    resources = {".".join(block.labels) for block in blocks(MODULE) if block.kind == "resource"}
    assert set(moves) == resources - NEWER_THAN_MODULE
    for source, target in moves.items():
        assert target.removesuffix("[0]") == f"module.sync_front.{source}"

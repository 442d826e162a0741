"""Terraform: fmt, init and validate"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.iac.files import EXAMPLES, MODULE, TERRAFORM, blocks
from tests.iac.terraform import Terraform

pytestmark = pytest.mark.timeout(180)  # Terraform takes seconds even on an idle machine


def test_every_file_is_formatted(terraform: Terraform) -> None:
    assert terraform("fmt", "-check", "-diff", "-recursive") == ""


@pytest.mark.parametrize("folder", [TERRAFORM, MODULE, *EXAMPLES], ids=lambda folder: folder.name)
def test_each_configuration_is_valid_for_the_provider(initialise: Callable[[Path], Terraform], folder: Path) -> None:
    found = initialise(folder).json("validate")
    assert found["diagnostics"] == []
    assert found["valid"]


def test_the_log_groups_exist_before_api_gateway_writes_to_them() -> None:
    """It would create the missing one itself, and Terraform could not create it any more."""
    (stage,) = [block.body for block in blocks() if block.labels == ("aws_api_gateway_stage", "main")]
    assert any("aws_cloudwatch_log_group.main" in reference for reference in stage["depends_on"])

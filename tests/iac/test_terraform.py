"""Terraform: fmt, init and validate"""

from __future__ import annotations

import pytest

from tests.iac.terraform import Terraform

pytestmark = pytest.mark.timeout(180)  # Terraform takes seconds even on an idle machine


def test_every_file_is_formatted(terraform: Terraform) -> None:
    assert terraform("fmt", "-check", "-diff", "-recursive") == ""


def test_the_configuration_is_valid_for_the_provider(terraform: Terraform) -> None:
    found = terraform.json("validate")
    assert found["diagnostics"] == []
    assert found["valid"]

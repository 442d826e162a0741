"""Terraform: format, real init and validate"""

from __future__ import annotations

import pytest

from tests.iac.terraform import Terraform

pytestmark = pytest.mark.timeout(180)  # other programs, which take seconds on a quiet machine


def test_every_file_is_formatted(terraform: Terraform) -> None:
    assert terraform("fmt", "-check", "-diff", "-recursive") == ""


def test_the_provider_finds_the_configuration_valid(terraform: Terraform) -> None:
    found = terraform.json("validate")
    assert found["diagnostics"] == []
    assert found["valid"]

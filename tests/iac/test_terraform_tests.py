"""terraform test: contract, timeouts, API document and refused values, with mocks"""

from __future__ import annotations

import re

import pytest

from tests.iac.files import TERRAFORM
from tests.iac.terraform import Terraform

pytestmark = [pytest.mark.iac, pytest.mark.timeout(1000)]


def test_terraforms_own_tests_pass(terraform: Terraform) -> None:
    output = terraform("test")
    runs = sum(
        len(re.findall(r'^run "', path.read_text(encoding="utf-8"), flags=re.MULTILINE))
        for path in TERRAFORM.glob("tests/*.tftest.hcl")
    )
    assert runs > 10
    assert f"Success! {runs} passed, 0 failed." in output

"""terraform test: contract, timeouts, API document and refused values, with mocks"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.iac.files import MODULE, TERRAFORM
from tests.iac.terraform import Terraform

pytestmark = [pytest.mark.iac, pytest.mark.timeout(1000)]


@pytest.mark.parametrize("folder", [TERRAFORM, MODULE], ids=lambda folder: folder.name)
def test_terraforms_own_tests_pass(initialise: Callable[[Path], Terraform], folder: Path) -> None:
    output = initialise(folder)("test")
    runs = sum(
        len(re.findall(r'^run "', path.read_text(encoding="utf-8"), flags=re.MULTILINE))
        for path in folder.glob("tests/*.tftest.hcl")
    )
    assert runs > 1
    assert f"Success! {runs} passed, 0 failed." in output

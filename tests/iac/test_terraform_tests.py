"""terraform test: contract, timeouts, API document and refused values, with mocks"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.iac.files import MODULE, TERRAFORM
from tests.iac.terraform import Terraform

pytestmark = [pytest.mark.iac, pytest.mark.timeout(1000)]


FILES = [path for folder in (TERRAFORM, MODULE) for path in sorted(folder.glob("tests/*.tftest.hcl"))]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name.partition(".")[0])
def test_terraforms_own_tests_pass(initialise: Callable[[Path], Terraform], file: Path) -> None:
    output = initialise(file.parents[1])("test", f"-filter=tests/{file.name}")
    runs = len(re.findall(r'^run "', file.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert runs > 0
    assert f"Success! {runs} passed, 0 failed." in output

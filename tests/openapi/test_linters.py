"""The linters that users run over an OpenAPI description find no error in ours."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from service.web import openapi
from service.web.schema import JsonSchema
from tests.support.workflow import a_workflow

pytestmark = [
    pytest.mark.npm,
    pytest.mark.timeout(120),
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm was not found"),
]

FOLDER: Final = Path(__file__).parent
LINTERS: Final = {
    "spectral": ["lint", "--ruleset", "spectral.json", "--fail-severity", "error"],
    "redocly": ["lint", "--extends", "recommended"],
}
DESCRIPTIONS: Final = {
    "demonstration": openapi.document([a_workflow()], prefix=""),
    "any-object": openapi.document([a_workflow(JsonSchema.load(""), 0.5)], prefix="/dev"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install exactly the locked packages in a folder of their own, without running scripts of theirs."""
    folder = tmp_path_factory.mktemp("linters")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(FOLDER / name, folder)
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(["npm", "ci", *quiet], cwd=folder, check=True, timeout=100)  # noqa: S607 - the user's Node.js
    (folder / "spectral.json").write_text('{"extends": ["spectral:oas"]}')
    for name, description in DESCRIPTIONS.items():
        (folder / f"{name}.json").write_text(json.dumps(description))
    return folder


def lint(folder: Path, linter: str, *names: str) -> subprocess.CompletedProcess[str]:
    command = [str(folder / "node_modules" / ".bin" / linter), *LINTERS[linter], *(f"{name}.json" for name in names)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("linter", LINTERS)
def test_a_linter_finds_no_error(folder: Path, linter: str) -> None:
    done = lint(folder, linter, *DESCRIPTIONS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("linter", LINTERS)
def test_a_linter_finds_an_error_that_is_there(folder: Path, linter: str) -> None:
    wrong = json.loads((folder / "demonstration.json").read_text())
    wrong["paths"]["/event"]["post"]["operationId"] = wrong["paths"]["/healthz"]["get"]["operationId"]
    (folder / "wrong.json").write_text(json.dumps(wrong))
    assert lint(folder, linter, "wrong").returncode == 1

"""The production image's dependencies and their known vulnerabilities."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.image.engine import ROOT, serve_only

LOCK = ROOT / "requirements" / "service.txt"
BILL = ROOT / "build" / "sbom.cdx.json"


def locked() -> set[tuple[str, str]]:
    return set(re.findall(r"^([^\s=]+)==([^\s;]+)", LOCK.read_text(), re.MULTILINE))


@serve_only
def test_the_bill_of_materials_lists_the_locked_dependencies_and_nothing_else(
    files: tarfile.TarFile, tmp_path: Path
) -> None:
    # The tool reads an environment: give it one with the image's packages.
    venv.create(tmp_path)
    (packages,) = tmp_path.glob("lib/*/site-packages")
    for member in files:
        if found := re.search(r"^opt/venv/lib/[^/]+/site-packages/(.*\.dist-info/.*)$", member.name):
            files.extract(member.replace(name=found[1]), packages, filter="data")
    BILL.parent.mkdir(exist_ok=True)
    subprocess.run(
        (
            *(sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", str(ROOT / "pyproject.toml")),
            *("--output-reproducible", "--output-file", str(BILL), str(tmp_path / "bin" / "python")),
        ),
        check=True,
        timeout=60,
    )
    bill = json.loads(BILL.read_text())
    assert bill["metadata"]["component"]["name"] == "sync-front"
    assert {(canonicalize_name(part["name"]), part["version"]) for part in bill["components"]} == locked()


def test_no_locked_dependency_has_a_known_vulnerability() -> None:
    audit = subprocess.run(
        (
            *(sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner=off"),
            *("--format=json", "--timeout=20", f"--requirement={LOCK}"),
        ),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    if not audit.stdout:
        assert re.search("Connection|ServiceError|Timeout", audit.stderr), audit.stderr
        pytest.skip("the vulnerability data cannot be reached from here")
    dependencies = json.loads(audit.stdout)["dependencies"]
    assert {found["name"] for found in dependencies} == {name for name, _ in locked()}
    if all("skip_reason" in found for found in dependencies):
        pytest.skip(f"the vulnerability data cannot be reached from here: {dependencies[0]['skip_reason']}")
    assert not [found for found in dependencies if found.get("vulns") or "skip_reason" in found]

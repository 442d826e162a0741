"""checkov: no failed checks, and a reason for each suppressed one"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.iac.conftest import not_verified
from tests.iac.files import IAC, ROOT

pytestmark = [pytest.mark.iac, pytest.mark.timeout(1000)]


def scan(folder: Path) -> list[dict[str, Any]]:
    """Return checkov's report for each framework."""
    checkov = os.environ.get("CHECKOV")
    if not checkov:
        not_verified("the environment variable CHECKOV does not name checkov")
    frameworks = ["--framework", "terraform", "cloudformation", "secrets"]
    done = subprocess.run(
        [checkov, "--directory", str(folder), *frameworks, "--skip-download", "--output", "json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    reports = json.loads(done.stdout)
    return reports if isinstance(reports, list) else [reports]


@pytest.fixture(scope="module")
def reports() -> list[dict[str, Any]]:
    return scan(IAC)


def test_checkov_finds_no_failed_check(reports: list[dict[str, Any]]) -> None:
    assert {"terraform", "cloudformation"} <= {report["check_type"] for report in reports}
    assert sum(report["summary"]["passed"] for report in reports) > 150
    assert [report["results"]["parsing_errors"] for report in reports if report["results"]["parsing_errors"]] == []
    assert [
        f"{check['check_id']} {check['resource']} ({check['file_path']}): {check['check_name']}"
        for report in reports
        for check in report["results"]["failed_checks"]
    ] == []


def test_every_suppressed_check_has_a_reason(reports: list[dict[str, Any]]) -> None:
    skipped = [check for report in reports for check in report["results"]["skipped_checks"]]
    assert [
        f"{check['check_id']} {check['resource']}"
        for check in skipped
        if len(check["check_result"].get("suppress_comment", "").split()) < 4
    ] == []


def test_checkov_finds_an_insecure_resource(tmp_path: Path) -> None:
    (tmp_path / "open.tf").write_text('resource "aws_sqs_queue" "open" {}\n', encoding="utf-8")
    assert {check["check_id"] for report in scan(tmp_path) for check in report["results"]["failed_checks"]}

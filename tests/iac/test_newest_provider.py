"""Newest provider: argument names and required arguments"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.iac.distil_provider_schema import used_types
from tests.iac.files import blocks
from tests.iac.provider_schema import SCHEMA, findings

pytestmark = pytest.mark.timeout(180)  # the parser takes seconds even on an idle machine

BAD = """
resource "aws_lb_typo" "x" {}
resource "aws_lb" "x" {
  internal = true
  internall = true
  access_logs { enabled = true }
  idle_timeout {}
  dynamic "subnet_mapping" {
    for_each = var.x
    content {
      subnet = 1
    }
  }
}
resource "aws_ecr_lifecycle_policy" "x" {
  count = 1
  repository = "x"
}
"""


def test_every_resource_and_data_source_fits_the_newest_provider() -> None:
    checked = [block for block in blocks() if block.kind in {"resource", "data"} and block.labels[0].startswith("aws_")]
    assert len(checked) > 40
    assert [finding for block in checked for finding in findings(block)] == []


def test_the_distilled_schema_has_exactly_the_types_in_use() -> None:
    assert set(SCHEMA["types"]) == used_types()


def test_the_allowed_provider_versions_include_that_of_the_schema() -> None:
    (terraform,) = [block.body for block in blocks() if block.kind == "terraform"]
    allowed = terraform["required_providers"][0]["aws"]["version"]
    match = re.fullmatch(r">= (\d+\.\d+\.\d+), < (\d+)\.0\.0", allowed)
    assert match, allowed
    newest = tuple(map(int, SCHEMA["source"]["provider"].split()[1].split(".")))
    assert tuple(map(int, match[1].split("."))) <= newest < (int(match[2]), 0, 0)


def test_the_check_finds_unknown_types_unknown_names_and_missing_arguments(tmp_path: Path) -> None:
    (tmp_path / "bad.tf").write_text(BAD, encoding="utf-8")
    assert [finding for block in blocks(tmp_path) for finding in findings(block)] == [
        "bad.tf.resource.aws_lb_typo.x: the distilled schema has no type aws_lb_typo",
        "bad.tf.resource.aws_lb.x: internall is not an argument",
        "bad.tf.resource.aws_lb.x: access_logs.bucket is missing",
        "bad.tf.resource.aws_lb.x: idle_timeout is an argument",
        "bad.tf.resource.aws_lb.x: subnet_mapping.subnet is not an argument",
        "bad.tf.resource.aws_lb.x: subnet_mapping.subnet_id is missing",
        "bad.tf.resource.aws_ecr_lifecycle_policy.x: policy is missing",
    ]

"""The two ways to run CI, `.ci/run` and the GitHub workflow."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def make_targets(path: str) -> set[str]:
    """Return the make targets that a file calls; what they set up for themselves does not count."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return set(re.findall(r"(?<!=== )\bmake ((?!setup)[a-z][a-z-]*)", re.sub(r"#.*|\"[^\"]*\"", "", text)))


def test_the_workflow_calls_the_same_make_targets_as_ci_run() -> None:
    only_where_chromium_is_installed = {"test-browser"}
    assert make_targets(".github/workflows/ci.yml") == make_targets(".ci/run") - only_where_chromium_is_installed


def test_every_make_target_exists() -> None:
    defined = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert make_targets(".ci/run") | make_targets(".github/workflows/ci.yml") <= defined

"""Shared fixtures of the infrastructure tests, and a summary of what was verified.

Each module is one level of verification, named by the first line of its docstring. A level that cannot run on this
machine is skipped and reported in the summary; with `TERRAFORM=required`, which `make test-iac` sets, it fails.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

from tests.iac.applied.world import World, first_apply, moto
from tests.iac.files import ROOT, TERRAFORM
from tests.iac.terraform import Terraform, TerraformFailed, TerraformMissing

REQUIRED = os.environ.get("TERRAFORM") == "required"

_STEPS = "durations of the apply's steps"


def not_verified(reason: str) -> NoReturn:
    """Skip a level that cannot run here, or fail if it is required."""
    if REQUIRED:
        pytest.fail(f"NOT VERIFIED: {reason}", pytrace=False)
    pytest.skip(f"NOT VERIFIED: {reason}")


@pytest.fixture(scope="session")
def initialise(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Terraform]:
    """A function that returns an initialised copy of a configuration, without state."""

    @cache
    def copy(configuration: Path) -> Terraform:
        try:
            return Terraform(tmp_path_factory.mktemp("static") / "IaC", fetch=REQUIRED, configuration=configuration)
        except TerraformMissing as missing:
            not_verified(str(missing))

    return copy


@pytest.fixture(scope="session")
def terraform(initialise: Callable[[Path], Terraform]) -> Terraform:
    """An initialised copy of the root."""
    return initialise(TERRAFORM)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The applied system. Tests change it for those that follow, so they run in the order of their files."""
    folder = tmp_path_factory.mktemp("applied")
    calls = folder / "calls.jsonl"
    with moto(calls) as url:
        try:
            yield first_apply(folder, url, calls, fetch=REQUIRED)
        except TerraformMissing as missing:
            not_verified(str(missing))
        except TerraformFailed as failure:
            pytest.fail(str(failure), pytrace=False)


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Report the duration of each step so far."""
    world = item.funcargs.get("world") if isinstance(item, pytest.Function) else None
    if isinstance(world, World):
        item.user_properties.append((_STEPS, dict(world.took)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print each level with its time, and highlight those that did not run."""
    reports = [item for kind in terminalreporter.stats.values() for item in kind if isinstance(item, pytest.TestReport)]
    levels = {name: title for name in dict.fromkeys(map(_file, reports)) if (title := _level(name))}
    if not levels:
        return
    terminalreporter.section("infrastructure: levels of verification")
    for file, name in sorted(levels.items()):
        mine = [report for report in reports if _file(report) == file]
        outcomes = {report.outcome for report in mine}
        seconds = sum(report.duration for report in mine)
        if "failed" in outcomes:
            terminalreporter.write_line(f"{seconds:6.1f} s  FAILED   {name}", red=True)
        elif "skipped" not in outcomes:
            terminalreporter.write_line(f"{seconds:6.1f} s  passed   {name}")
        else:
            skips = [report.longrepr[2] for report in mine if isinstance(report.longrepr, tuple)]
            reason = skips[0].removeprefix("Skipped: ")
            terminalreporter.write_line(f"    ---   NOT RUN  {name}: {reason}", yellow=True, bold=True)
    properties = [item for report in reports for item in report.user_properties]
    steps = [took for name, took in properties if name == _STEPS and isinstance(took, dict)]
    for step, seconds in max(steps, key=len, default={}).items():
        terminalreporter.write_line(f"{seconds:6.1f} s           terraform {step}")


def _file(report: pytest.TestReport) -> str:
    return report.nodeid.partition("::")[0]


def _level(file: str) -> str:
    """Return the name of the level that a file of tests is, or an empty text."""
    if not file.startswith("tests/iac/"):
        return ""
    return (ast.get_docstring(ast.parse((ROOT / file).read_text(encoding="utf-8"))) or "").partition("\n")[0]

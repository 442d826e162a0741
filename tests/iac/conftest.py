"""Shared fixtures of the infrastructure tests, and a summary of what was verified.

Each module is one level of verification, named by the first line of its docstring. A level that cannot run on this
machine is skipped and reported in the summary; with `TERRAFORM=required`, which `make test-iac` sets, it fails.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest

from tests.iac.applied.world import World, first_apply, moto
from tests.iac.files import TERRAFORM
from tests.iac.terraform import Terraform, TerraformFailed, TerraformMissing

REQUIRED = os.environ.get("TERRAFORM") == "required"

_levels = pytest.StashKey[dict[str, str]]()
_steps = pytest.StashKey[dict[str, float]]()


def not_verified(reason: str) -> NoReturn:
    """Skip a level that cannot run here, or fail if it is required."""
    if REQUIRED:
        pytest.fail(f"NOT VERIFIED: {reason}", pytrace=False)
    pytest.skip(f"NOT VERIFIED: {reason}")


@pytest.fixture(scope="session")
def initialise(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Terraform]:
    """A function that returns an initialised copy of a configuration, without state."""

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


@pytest.fixture(scope="session", autouse=True)
def applying(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[World] | None]:
    """The first apply, started early if a test needs it: it mostly waits, so other tests can run meanwhile."""
    if not any(isinstance(item, pytest.Function) and "world" in item.fixturenames for item in request.session.items):
        yield None
        return
    folder = tmp_path_factory.mktemp("applied")
    calls = folder / "calls.jsonl"
    with moto(calls) as url, ThreadPoolExecutor(1) as background:
        yield background.submit(first_apply, folder, url, calls, fetch=REQUIRED)


@pytest.fixture(scope="session")
def world(applying: Future[World], pytestconfig: pytest.Config) -> World:
    """The applied system. Tests change it for those that follow, so they run in the order of their files."""
    try:
        world = applying.result(timeout=1800)
    except TerraformMissing as missing:
        not_verified(str(missing))
    except TerraformFailed as failure:
        pytest.fail(str(failure), pytrace=False)
    pytestconfig.stash[_steps] = world.took
    return world


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note the name of each level before any is deselected; run static levels first, while the first apply waits."""
    items.sort(key=lambda item: isinstance(item, pytest.Function) and "world" in item.fixturenames)
    config.stash[_levels] = {
        item.nodeid.partition("::")[0]: (item.module.__doc__ or "").partition("\n")[0]
        for item in items
        if isinstance(item, pytest.Function) and Path(__file__).parent in item.path.parents
    }


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print each level with its time, and highlight those that did not run."""
    levels = config.stash.get(_levels, {})
    if not levels:
        return
    terminalreporter.section("infrastructure: levels of verification")
    reports = [item for kind in terminalreporter.stats.values() for item in kind if isinstance(item, pytest.TestReport)]
    for file, name in levels.items():
        mine = [report for report in reports if report.nodeid.startswith(file)]
        outcomes = {report.outcome for report in mine}
        seconds = sum(report.duration for report in mine)
        if "failed" in outcomes:
            terminalreporter.write_line(f"{seconds:6.1f} s  FAILED   {name}", red=True)
        elif "passed" in outcomes and "skipped" not in outcomes:
            terminalreporter.write_line(f"{seconds:6.1f} s  passed   {name}")
        else:
            skips = [report.longrepr[2] for report in mine if isinstance(report.longrepr, tuple)]
            reason = skips[0].removeprefix("Skipped: ") if skips else "run by `make test-iac`"
            terminalreporter.write_line(f"    ---   NOT RUN  {name}: {reason}", yellow=True, bold=True)
    for step, seconds in config.stash.get(_steps, {}).items():
        terminalreporter.write_line(f"{seconds:6.1f} s           terraform {step}")

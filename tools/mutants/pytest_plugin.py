"""A plugin for pytest: records how long each test takes, runs chosen tests in order, and repeats failed ones once."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from _pytest.runner import runtestprotocol  # what plugins that repeat tests use; there is no public name

if TYPE_CHECKING:
    from typing import Any

MEMORY: Final = 4 * 2**30
"""Bytes."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("mutants")
    group.addoption("--record", type=Path, metavar="FILE", help="write the tests' durations, and which did not pass")
    group.addoption("--choice", type=Path, metavar="FILE", help="run the tests that this file chooses, in its order")


def pytest_configure(config: pytest.Config) -> None:
    """Start a record, but only in the process that hears of all tests; limit the memory of a faulty loop."""
    file: Path | None = config.getoption("--record")
    if file is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Recorder(file))
    if config.getoption("--choice") is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))


class _Recorder:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._durations: dict[str, float] = {}
        self._failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._durations[report.nodeid] = self._durations.get(report.nodeid, 0.0) + report.duration
        if not report.passed:
            self._failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        record = {"durations": self._durations, "failed": sorted(self._failed)}
        self._file.write_text(json.dumps(record), encoding="utf-8")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what is chosen, in order; a test that the record does not know runs first, as it may be new."""
    if config.getoption("--choice") is None:
        return
    choice: dict[str, Any] = json.loads(config.getoption("--choice").read_text(encoding="utf-8"))
    order = {nodeid: number for number, nodeid in enumerate(choice["chosen"])}
    known = set(choice["known"])
    kept = [item for item in items if item.nodeid in order or item.nodeid not in known]
    dropped = [item for item in items if item.nodeid in known and item.nodeid not in order]
    config.hook.pytest_deselected(items=dropped)
    items[:] = sorted(kept, key=lambda item: order.get(item.nodeid, -1))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a failed test again: only what fails twice has failed, because other work on the machine can disturb it."""
    if item.config.getoption("--choice") is None:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    if any(report.failed for report in reports):
        item._initrequest()  # type: ignore[attr-defined]  # noqa: SLF001 - as pytest-rerunfailures does
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True

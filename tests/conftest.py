"""Checks for all tests: no log contains private data, and no test leaves an application behind."""

from __future__ import annotations

from collections.abc import Generator

import pytest
import structlog

from service.telemetry import logs
from tests.support import ended_apps
from tests.support.privacy import leaks
from tests.support.processes import end_fork_server

# Write logs as the service does, except for the destination, which each test chooses.
structlog.configure(processors=[*logs.processors(), structlog.processors.JSONRenderer()])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail tests that logged private data in this process; `tests.support.processes` checks other processes."""
    report = yield
    if report.when == "call" and report.passed:
        # Ignore the log of a test's own WebSocket server: the service does not have one.
        logged = [line for line in report.caplog.splitlines() if " websockets.server:" not in line]
        found = leaks("\n".join([report.capstdout, report.capstderr, *logged]))
        if found:
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid}: logged private data: {found}"
    return report


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Free the memory of ended applications: a test run creates hundreds."""
    ended_apps.forget()


@pytest.fixture(scope="session", autouse=True)
def _fork_server() -> Generator[None]:
    """End the fork server before the coverage data of all processes is combined."""
    yield
    end_fork_server()

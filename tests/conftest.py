"""Every test fails that makes a log tell what is private; none leaves an application behind."""

from __future__ import annotations

from collections.abc import Generator

import pytest
import structlog

from service.telemetry import logs
from tests.support import ended_apps
from tests.support.privacy import leaks

# Logs are written here as the service writes them, but for the place: that is the test's own.
structlog.configure(processors=[*logs.processors(), structlog.processors.JSONRenderer()])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Look through what was logged in this process; `tests.support.processes` does the same for others."""
    report = yield
    if report.when == "call" and report.passed:
        # What a test's own WebSocket server logs is the other side's: the service has none.
        logged = [line for line in report.caplog.splitlines() if " websockets.server:" not in line]
        found = leaks("\n".join([report.capstdout, report.capstderr, *logged]))
        if found:
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid}: logged what is private: {found}"
    return report


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Keep the process small over hundreds of applications."""
    ended_apps.forget()

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.iac.files import ROOT
from tests.tools.preflight.example import configuration
from tests.tools.preflight.stand_in import CALLER, StandIn
from tools.preflight import samples
from tools.preflight.__main__ import main, report, run
from tools.preflight.aws import Aws
from tools.preflight.findings import Line, ok, unknown, wrong

pytestmark = pytest.mark.timeout(180)  # moto takes seconds to load all that CloudFormation creates

READS = re.compile(r"(Get|List|Describe|Validate|Test|Simulate)")


@pytest.mark.parametrize(
    ("lines", "status"),
    [([ok("a", "b"), unknown("a", "b")], 0), ([ok("a", "b"), wrong("a", "b")], 1), ([wrong("a", "b")] * 2, 1)],
)
def test_the_exit_status_is_0_only_if_nothing_is_wrong(lines: list[object], status: int) -> None:
    assert report(iter(lines)) == status  # type: ignore[arg-type]


def test_the_last_line_counts_the_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    report(iter([ok("a", "b"), wrong("c", "d"), unknown("e", "f"), unknown("g", "h")]))
    assert capsys.readouterr().out.splitlines() == [
        "ok       a: b",
        "wrong    c: d",
        "unknown  e: f",
        "unknown  g: h",
        "1 ok, 1 wrong, 2 unknown",
    ]


def test_a_good_account_is_right_and_nothing_is_created(
    account: StandIn, aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(run(aws, configuration(), CALLER, samples.Requests())) == 0
    assert " 0 wrong, 0 unknown" in capsys.readouterr().out
    writes = {call.operation for call in account.calls if not READS.match(call.operation)}
    assert writes == {"CreateChangeSet", "DeleteChangeSet", "DeleteStack"}


def test_every_call_fits_aws(account: StandIn, aws: Aws) -> None:
    list(run(aws, configuration(), CALLER, samples.Requests()))
    violations = {violation for call in account.calls for violation in call.violations()}
    # The locked SDK is older than this member.
    assert violations - {"stepfunctions:TestState.mock: is unknown"} == set()


def test_without_a_configuration_nothing_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err == "Nothing was checked. terraform is not on the PATH\n"


def test_without_credentials_nothing_is_checked(
    account: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    account.deny("sts:GetCallerIdentity")
    monkeypatch.setattr("tools.preflight.configuration.read", lambda _: configuration())
    assert main([str(tmp_path)]) == 2
    assert "GetCallerIdentity" in capsys.readouterr().err


def test_the_command_says_what_to_do_without_the_aws_sdk(tmp_path: Path) -> None:
    (tmp_path / "botocore.py").write_text("raise ImportError\n")
    done = subprocess.run(
        [sys.executable, "-m", "tools.preflight"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "make setup-service" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "requests"),
    [
        ([], [samples.REQUEST, samples.REQUEST]),
        (['{"order": 1}'], [{"order": 1}, {"order": 1}]),
        (['orders={"order": 1}'], [{"order": 1}, samples.REQUEST]),
        (['orders="a=b"', "[2]"], ["a=b", [2]]),
    ],
)
def test_a_request_of_your_own_reaches_its_workflow_or_all(
    account: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], requests: list[Any]
) -> None:
    del account  # it is in the environment
    given: list[samples.Requests] = []

    def run_nothing(*arguments: Any) -> list[Line]:
        given.append(arguments[3])
        return []

    monkeypatch.setattr("tools.preflight.configuration.read", lambda _: configuration())
    monkeypatch.setattr("tools.preflight.__main__.run", run_nothing)
    assert main([str(tmp_path), *(word for argument in arguments for word in ("--request", argument))]) == 0
    assert [given[0].of(name) for name in ("orders", "event")] == requests


@pytest.mark.parametrize("arguments", [["--request", "{"], ["--request", "order={"]])
def test_a_request_that_is_not_json_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "--request" in capsys.readouterr().err

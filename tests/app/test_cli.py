"""The command line, without running a command to its end."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from service import __version__, data_file
from service.app import cli, local
from service.app.settings import Settings
from service.local import WORKFLOW
from tests.support.processes import running


@pytest.fixture(autouse=True)
def without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name, raising=False)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments])
    assert ended.value.code == status
    captured = capsys.readouterr()
    return captured.err if status else captured.out


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_help_lists_each_setting_with_its_default_and_description(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "--help")
    assert "  APPSYNC_HTTP_URL (required)\n      The HTTP endpoint" in text
    assert "  DRAIN_DELAY (default: 5)\n      Seconds after SIGTERM" in text
    assert "  DESCRIBE_QUOTA (default: 300/15)\n" in text
    assert "  EMF_INTERVAL (default: 0)\n" in text
    assert "  APPSYNC_API_KEY\n" in text


def test_help_shows_no_value_from_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPSYNC_API_KEY", "da2-secret")
    assert "da2-secret" not in printed(capsys, "--help")


@pytest.mark.parametrize("command", ["serve", "local"])
def test_the_help_of_a_command_lists_the_settings_too(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert "  LOG_LEVEL (default: INFO)\n" in printed(capsys, command, "--help")


def test_the_local_aws_has_a_command_with_its_own_arguments(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_AWS_PORT", "4999")
    assert cli.main(["local-aws", "--settings", "--host", "aws"]) == 0
    assert "export AWS_ENDPOINT_URL_SFN=http://aws:4999\n" in capsys.readouterr().out
    assert re.match(r"usage: \S.* local-aws \[-h\] \[--settings\]", printed(capsys, "local-aws", "--help"))


def test_the_workflow_its_values_and_its_mocks_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[local.Workflow] = []

    async def run(workflow: local.Workflow) -> bool:
        given.append(workflow)
        return True

    monkeypatch.setattr(local, "run", run)
    monkeypatch.setattr(cli, "_run", asyncio.run)
    cli.main(["local", "--workflow", "w.yaml", "--set", "a=1", "--set", "b==", "--mocks", "m.json", "--wait", "2"])
    assert given == [local.Workflow(2, Path("w.yaml"), {"a": "1", "b": "="}, Path("m.json"))]


def test_what_runs_is_the_demonstration_unless_the_arguments_say_otherwise() -> None:
    assert local.read_arguments([], "local", None) == local.Workflow(10, WORKFLOW, {}, None)


@pytest.mark.parametrize("other", [("--mocks", "m.json"), ("--workflow", "w.json")])
def test_a_file_of_workflows_excludes_what_it_has_itself(
    capsys: pytest.CaptureFixture[str], other: tuple[str, str]
) -> None:
    refused = printed(capsys, "local", "--workflows", "w.toml", *other, status=2)
    assert "with --workflows, each workflow has its definition and its mocks in that file" in refused


@pytest.mark.parametrize("command", ["serve", "local", "local-aws"])
def test_arguments_that_a_command_does_not_have_are_refused(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert "unrecognized arguments: --sttings" in printed(capsys, command, "--sttings", status=2)


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "--version") == f"sync-front {__version__}\n"


def test_a_command_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    assert "COMMAND" in printed(capsys, status=2)


@pytest.mark.parametrize(
    ("started_as", "name"), [("/x/service/__main__.py", "python -m service"), ("/x/sync-front", "sync-front")]
)
def test_usage_names_the_command_as_it_was_started(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, started_as: str, name: str
) -> None:
    monkeypatch.setattr(sys, "argv", [started_as])
    assert printed(capsys, "--help").startswith(f"usage: {name} [-h]")


def test_signals_have_their_defaults_before_the_service_is_imported() -> None:
    script = """
import signal, sys
import service.__main__
assert "service.app" not in sys.modules
sys.argv[1:] = ["--version"]
try:
    service.__main__.main()
except SystemExit:
    print(signal.getsignal(signal.SIGINT) is signal.SIG_DFL)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.splitlines()[-1] == "True"


async def test_a_clone_without_its_dependencies_says_how_to_install_them() -> None:
    async with running("-S", "-m", "service", "serve") as process:  # without site-packages
        assert await process.wait() == 1
        (line,) = process.stderr
        assert "is not installed. Run `pip install .` first, or in a clone `make run`" in line


async def test_a_missing_module_of_the_service_itself_is_a_bug_and_not_an_installation() -> None:
    without = "import sys; sys.modules['service.app.serve'] = None; from service.__main__ import main; sys.exit(main())"
    async with running("-c", without) as process:
        assert await process.wait() == 1
        assert "ModuleNotFoundError" in process.stderr[-1]


def test_data_files_are_found_in_a_wheel_or_else_in_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service._PACKAGE", tmp_path / "service")
    assert data_file("a.json") == tmp_path / "IaC" / "a.json"
    packaged = tmp_path / "service" / "_data" / "a.json"
    packaged.parent.mkdir(parents=True)
    packaged.touch()
    assert data_file("a.json") == packaged

"""The wheel and its `sync-front` command, built and installed offline."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import aiohttp
import pytest

from service import __version__
from service.app.settings import Settings
from tests.support.processes import CLEAN

ROOT = Path(__file__).parents[1]
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
DATA_FILES = {f"service/_data/{name}" for name in ("relay.asl.json", "request.schema.json", "workflow.asl.json")}


def run(*command: str | Path, expect: int = 0) -> str:
    """Run a command outside the repository and return its output, standard error included."""
    done = subprocess.run(
        command,
        cwd="/",
        env=CLEAN,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == expect, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", folder)
    run(*PIP, "wheel", *options, ROOT)
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def sync_front(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a new environment that can import this one's packages; return the command."""
    environment = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    python = environment / "bin" / "python"
    run(*PIP, "--python", python, "install", "--no-deps", "--no-index", wheel)
    (packages,) = environment.glob("lib/*/site-packages")
    (here,) = {path for path in sys.path if path.endswith("site-packages")}
    (packages / "dependencies.pth").write_text(here)
    return environment / "bin" / "sync-front"


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def tracked(folder: str) -> set[str]:
    listed = run("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "--", folder)
    return {name for name in listed.splitlines() if (ROOT / name).exists()}


def test_the_wheel_contains_the_service_with_its_data_files_and_nothing_else(wheel: Path) -> None:
    assert names(wheel) == tracked("service") | DATA_FILES


def test_the_wheel_has_one_version_and_an_extra_for_local_use(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(path).decode())
    assert metadata["Name"] == "sync-front"
    assert metadata["Version"] == __version__
    assert set(metadata.get_all("Provides-Extra", [])) == {"local", "otel"}
    requirements = metadata.get_all("Requires-Dist", [])
    assert {line.split(">=")[0] for line in requirements if line.endswith("extra == 'local'")} == {
        *("jsonata-python", "python-jsonpath", "pyyaml")
    }


def test_the_command_prints_its_version(sync_front: Path) -> None:
    assert run(sync_front, "--version") == f"sync-front {__version__}\n"


@pytest.mark.parametrize("arguments", [(), ("serve",), ("local",)], ids=["the command", "serve", "local"])
def test_help_lists_every_setting_without_any_being_set(sync_front: Path, arguments: tuple[str, ...]) -> None:
    text = run(sync_front, *arguments, "--help")
    assert text.startswith("usage: sync-front")
    listed = re.findall(r"^  ([A-Z_]+)(?: \(.+\))?\n      \S", text, re.MULTILINE)
    assert listed == list(Settings.model_fields)


def test_serve_without_settings_ends_with_status_two_and_names_them(sync_front: Path) -> None:
    message = run(sync_front, "serve", expect=2)
    assert re.search(r"^  STATE_MACHINE_ARN: .*required", message, re.MULTILINE), message


async def ready(http: aiohttp.ClientSession, url: str) -> None:
    """Poll until the reply channel is live: the port is open a moment before."""
    while True:
        async with http.get(f"{url}/readyz") as response:
            if response.status == 200:
                return


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_local_answers_a_request_and_stops(sync_front: Path, number: signal.Signals) -> None:
    env = {**CLEAN, "HOST": "127.0.0.1", "PORT": "0", "LOCAL_AWS_PORT": "0"}
    process = await asyncio.create_subprocess_exec(
        *(sync_front, "local", "--wait", "0"),
        cwd="/",
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            first_line = (await process.stdout.readline()).decode()
            (url,) = re.findall(r"http://127\.0\.0\.1:\d+", first_line)
            event = {"nome": "Ricardo", "sobrenome": "Marques"}
            async with aiohttp.ClientSession() as http:
                await ready(http, url)
                async with http.post(f"{url}/event", json=event) as response:
                    assert response.status == 200
                    assert (await response.json())["nome completo"] == "Ricardo Marques"
            process.send_signal(number)
            await process.stdout.read()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

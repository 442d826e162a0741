"""The real package index plus a made-up newer release of every locked package: pip still installs what is locked."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.wheels import lock as locking
from tests.support.wheels import wheel
from tools import install

pytestmark = pytest.mark.index

LOCKS = sorted(install.LOCKS.glob("*.txt"))


def listed(lock: Path) -> list[Requirement]:
    """Return what a lock lists for this platform and Python."""
    lines = [line.rstrip(" \\") for line in lock.read_text().splitlines() if "==" in line]
    pins = [Requirement(line) for line in lines]
    return [pin for pin in pins if pin.marker is None or pin.marker.evaluate()]


@pytest.fixture(params=LOCKS, ids=lambda lock: lock.stem)
def lock(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return the lock plus a package that needs each of the others, with and without an extra."""
    real: Path = request.param
    folder = tmp_path / "newer"
    folder.mkdir()
    names = [pin.name for pin in listed(real)]
    for name in names:
        wheel(folder, name, "9999", extras=["some"])
    probe = wheel(folder, "probe", "1", requires=[*names, *(f"{name}[some]" for name in names)])
    path = tmp_path / real.name
    path.write_text(real.read_text() + locking(tmp_path / "probe.txt", probe).read_text())
    return path


def report(lock: Path) -> subprocess.CompletedProcess[str]:
    """Let pip report what it would install into an empty environment."""
    dry = ("--dry-run", "--ignore-installed", "--find-links", str(lock.with_name("newer")))
    command = [*install.install_command(sys.executable, lock), *dry, "--report", str(lock.with_name("report.json"))]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=590)


def test_exactly_what_is_locked_is_installed(lock: Path) -> None:
    done = report(lock)
    assert done.returncode == 0, done.stderr
    chosen = [item["metadata"] for item in json.loads(lock.with_name("report.json").read_text())["install"]]
    assert sorted((canonicalize_name(item["name"]), f"=={item['version']}") for item in chosen) == sorted(
        (canonicalize_name(pin.name), str(pin.specifier)) for pin in listed(lock)
    )


@pytest.mark.parametrize("lock", [install.LOCKS / "service.txt"], indirect=True, ids=["service"])
@pytest.mark.skipif(version("pip") >= "24", reason="a newer pip also uses the pinned version for an extra")
def test_an_installation_that_resolves_fails_on_a_newer_release(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "EXACTLY", ("--require-hashes",))
    done = report(lock)
    assert done.returncode
    assert "-9999-" in done.stderr

"""The real package index, beside a made-up newer release of every locked package: what each lock lists is taken."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.wheels import wheel
from tools import install

pytestmark = pytest.mark.index

LOCKS = sorted(install.LOCKS.glob("*.txt"))
RESOLVES = ("--require-hashes",)


def locked(lock: Path) -> list[Requirement]:
    """Return what a lock lists for this platform and Python."""
    lines = [line.rstrip(" \\") for line in lock.read_text().splitlines() if "==" in line]
    listed = [Requirement(line) for line in lines]
    return [pin for pin in listed if pin.marker is None or pin.marker.evaluate()]


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """Return a folder with a release, unknown to any lock, of every locked package and its extras."""
    folder = tmp_path / "newer"
    folder.mkdir()
    for name in {pin.name for lock in LOCKS for pin in locked(lock)}:
        wheel(folder, name, "9999", extras=EXTRAS)
    return folder


EXTRAS = ("boto3", "brotli", "crt", "http", "json", "requests", "server", "stepfunctions", "toml")


def take(lock: Path, newer: Path, report: Path) -> subprocess.CompletedProcess[str]:
    """Let pip say what it would install into an empty environment."""
    dry = ("--dry-run", "--ignore-installed", "--find-links", str(newer), "--report", str(report))
    command = [*install.install_command(sys.executable, lock), *dry]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=590)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_exactly_what_is_locked_is_taken(lock: Path, newer: Path, tmp_path: Path) -> None:
    done = take(lock, newer, tmp_path / "report.json")
    assert done.returncode == 0, done.stderr
    taken = [item["metadata"] for item in json.loads((tmp_path / "report.json").read_text())["install"]]
    assert sorted((canonicalize_name(item["name"]), f"=={item['version']}") for item in taken) == sorted(
        (canonicalize_name(pin.name), str(pin.specifier)) for pin in locked(lock)
    )


def test_a_way_that_resolves_takes_what_is_not_locked(
    newer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "EXACTLY", RESOLVES)
    done = take(install.LOCKS / "dev.txt", newer, tmp_path / "report.json")
    assert done.returncode
    assert "coverage[toml]" in done.stderr

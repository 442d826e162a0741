"""Environments that the real pip installs from made-up packages in a folder."""

from __future__ import annotations

import ensurepip
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.wheels import lock, wheel
from tools import install

ROOT = Path(__file__).parents[2]


class Workshop:
    def __init__(self, folder: Path) -> None:
        self.index = folder / "index"
        self.index.mkdir()
        self.environment = folder / "environment"
        self.lock = folder / "app.txt"

    def locked(self, *wheels: Path) -> None:
        lock(self.lock, *wheels)

    def set_up(self, *more: Path) -> None:
        install.set_up(self.environment, [self.lock, *more])

    def installed(self) -> set[str]:
        found = self.environment.glob("lib/*/site-packages/*.dist-info")
        return {path.name.removesuffix(".dist-info") for path in found if not re.match("pip-|setuptools-", path.name)}

    def state(self) -> Path:
        return self.environment / install.STATE


@pytest.fixture(scope="session")
def created(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment with pip alone, as `install` creates it."""
    environment = tmp_path_factory.mktemp("created") / "environment"
    install.set_up(environment, [])
    return environment


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, created: Path) -> Workshop:
    """Environments begin as copies of one that was created once: their creation takes most of the time."""
    made = Workshop(tmp_path)
    monkeypatch.setattr(
        install, "_create", lambda folder: shutil.copytree(created, folder, symlinks=True, dirs_exist_ok=True)
    )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(made.index))
    return made


def a_lock_and_a_newer_release(workshop: Workshop) -> None:
    """Let a package need an extra of another one, which has a release newer than the lock."""
    plugin = wheel(workshop.index, "plugin", "1", requires=["base[fast]>=1"])
    workshop.locked(plugin, wheel(workshop.index, "base", "1", extras=["fast"]))
    wheel(workshop.index, "base", "2", extras=["fast"])


def test_a_release_that_is_newer_than_the_lock_changes_nothing(workshop: Workshop) -> None:
    a_lock_and_a_newer_release(workshop)
    workshop.set_up()
    assert workshop.installed() == {"plugin-1", "base-1"}


@pytest.mark.skipif(ensurepip.version() >= "24", reason="a newer pip also uses the pinned version for an extra")
def test_an_installation_that_resolves_fails_on_a_newer_release(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    a_lock_and_a_newer_release(workshop)
    monkeypatch.setattr(install, "EXACTLY", ("--require-hashes",))
    with pytest.raises(SystemExit, match="could not be installed"):
        workshop.set_up()
    assert "base[fast]" in capfd.readouterr().err


def test_a_finished_environment_is_left_untouched(workshop: Workshop, capfd: pytest.CaptureFixture[str]) -> None:
    workshop.locked(wheel(workshop.index, "base", "1"))
    workshop.set_up()
    before = workshop.state().stat().st_mtime_ns
    capfd.readouterr()
    workshop.set_up()
    assert workshop.state().stat().st_mtime_ns == before
    assert capfd.readouterr().err == ""


def test_another_lock_is_added_to_a_finished_environment(workshop: Workshop, tmp_path: Path) -> None:
    workshop.locked(wheel(workshop.index, "base", "1"))
    workshop.set_up()
    mark = workshop.environment / "mark"
    mark.touch()
    workshop.set_up(lock(tmp_path / "more.txt", wheel(workshop.index, "other", "3")))
    assert workshop.installed() == {"base-1", "other-3"}
    assert mark.exists()
    workshop.set_up()
    assert mark.exists()


def test_a_package_that_is_no_longer_locked_is_removed(workshop: Workshop) -> None:
    base = wheel(workshop.index, "base", "1")
    workshop.locked(base, wheel(workshop.index, "dropped", "1"))
    workshop.set_up()
    workshop.locked(base)
    workshop.set_up()
    assert workshop.installed() == {"base-1"}


def test_an_environment_whose_installation_failed_is_created_again(workshop: Workshop) -> None:
    base = wheel(workshop.index, "base", "1")
    workshop.locked(base)
    away = base.rename(base.with_suffix(".away"))
    with pytest.raises(SystemExit, match=r"cannot be reached[\s\S]*run the same command again"):
        workshop.set_up()
    (workshop.environment / "left-over").touch()
    away.rename(base)
    workshop.set_up()
    assert workshop.installed() == {"base-1"}
    assert not (workshop.environment / "left-over").exists()


@pytest.mark.parametrize("harm", ["no pip", "interrupted", "moved", "no python", "other python"])
def test_a_broken_environment_is_created_again(workshop: Workshop, harm: str) -> None:
    workshop.locked(wheel(workshop.index, "base", "1"))
    if harm == "no pip":  # interrupted between the installation of its Python and of its pip
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", workshop.environment], check=True)
    else:
        workshop.set_up()
    left_over = workshop.environment / "left-over"
    left_over.touch()
    if harm == "interrupted":
        workshop.state().write_text("{}")
    elif harm == "moved":
        workshop.environment = workshop.environment.rename(workshop.environment.with_name("elsewhere"))
        left_over = workshop.environment / "left-over"
    elif harm == "no python":
        (workshop.environment / "bin" / "python").unlink()
    elif harm == "other python":
        state = json.loads(workshop.state().read_text())
        workshop.state().write_text(json.dumps({**state, "python": [3, 99]}))
    workshop.set_up()
    assert workshop.installed() == {"base-1"}
    assert not left_over.exists()


def test_a_folder_that_is_not_an_environment_is_not_removed(workshop: Workshop) -> None:
    workshop.locked(wheel(workshop.index, "base", "1"))
    workshop.environment.mkdir()
    mine = workshop.environment / "thesis.tex"
    mine.touch()
    with pytest.raises(SystemExit, match="not a virtual environment"):
        workshop.set_up()
    assert mine.exists()


def test_a_lock_that_lacks_a_package_is_reported(workshop: Workshop, capfd: pytest.CaptureFixture[str]) -> None:
    workshop.locked(wheel(workshop.index, "plugin", "1", requires=["base"]))
    for _ in range(2):  # the second time it is still unfinished
        with pytest.raises(SystemExit, match="fault of the lock"):
            workshop.set_up()
        assert "requires base" in capfd.readouterr().err


def test_a_file_that_is_not_the_locked_one_is_refused(workshop: Workshop) -> None:
    workshop.locked(wheel(workshop.index, "base", "1"))
    wheel(workshop.index, "base", "1", extras=["evil"])
    with pytest.raises(SystemExit, match="Hashes do not match"):
        workshop.set_up()


def test_the_users_pip_settings_do_not_redirect_packages(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_USER", "1")
    workshop.locked(wheel(workshop.index, "base", "1"))
    workshop.set_up()
    assert workshop.installed() == {"base-1"}


def test_a_python_that_is_too_old_is_refused_with_advice(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    workshop.locked(wheel(workshop.index, "base", "1"))
    monkeypatch.setattr(install, "OLDEST_PYTHON", (99, 0))
    with pytest.raises(SystemExit, match="make PYTHON="):
        workshop.set_up()
    assert not workshop.environment.exists()


def test_a_python_that_is_too_old_does_not_break_a_finished_environment(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.locked(wheel(workshop.index, "base", "1"))
    workshop.set_up()
    monkeypatch.setattr(install, "OLDEST_PYTHON", (99, 0))
    monkeypatch.setattr(sys, "version_info", (3, 9, 0))
    more = lock(tmp_path / "more.txt", wheel(workshop.index, "other", "3"))
    for _ in range(2):
        workshop.set_up(more)
        assert workshop.installed() == {"base-1", "other-3"}


def test_make_without_a_python_says_what_to_do() -> None:
    done = subprocess.run(
        [shutil.which("make") or "make", "setup-service", "PYTHON=python-that-is-not-there"],
        cwd=ROOT,
        env={**os.environ, "MAKEFLAGS": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode
    assert "name a Python 3.11 or newer: make PYTHON=" in done.stderr


def test_no_installation_of_python_packages_resolves_anything() -> None:
    """All environments of the Makefile come from tools/install.py; the Dockerfile has one line of its own."""
    makefile, dockerfile = (ROOT / "Makefile").read_text(), (ROOT / "Dockerfile").read_text()
    assert "pip install" not in makefile
    (line,) = re.findall(r"python -m pip [^&]*? install [^&]*", dockerfile)
    assert all(option in line for option in " ".join(install.EXACTLY).replace(":all:", "").split())
    assert "pip install" not in (ROOT / ".ci" / "run").read_text()

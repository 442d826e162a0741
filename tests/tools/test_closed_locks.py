from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.wheels import lock, wheel
from tools import closed_locks
from tools.install import LOCKS


def found(path: Path, platform: str = closed_locks.LINUX[0], python: str = "3.12") -> list[str]:
    return [*closed_locks.faults(path, platform, python, "--no-index", "--find-links", str(path.parent))]


def test_a_lock_with_everything_that_its_packages_need_is_closed(tmp_path: Path) -> None:
    app = wheel(tmp_path, "app", "1", requires=["base[fast]>=1"])
    base = wheel(tmp_path, "base", "1", extras=["fast"], requires=["turbo; extra == 'fast'"])
    assert found(lock(tmp_path / "app.txt", app, base, wheel(tmp_path, "turbo", "2"))) == []


@pytest.mark.parametrize(
    ("requirement", "platform", "python"),
    [
        ("base", "x86_64-unknown-linux-gnu", "3.11"),
        ("turbo[fast]", "x86_64-unknown-linux-gnu", "3.11"),
        ("base; sys_platform == 'darwin'", "aarch64-apple-darwin", "3.11"),
        ("base; platform_machine == 'aarch64'", "aarch64-unknown-linux-gnu", "3.11"),
        ("base; python_version >= '3.13'", "x86_64-unknown-linux-gnu", "3.13"),
    ],
)
def test_a_dependency_that_is_needed_on_any_platform_must_be_locked(
    tmp_path: Path, requirement: str, platform: str, python: str
) -> None:
    turbo = wheel(tmp_path, "turbo", "2", extras=["fast"], requires=["base; extra == 'fast'"])
    wheel(tmp_path, "base", "1")
    path = lock(tmp_path / "app.txt", wheel(tmp_path, "app", "1", requires=[requirement]), turbo)
    (fault,) = found(path, platform, python)
    assert fault == f"app.txt on {platform}, Python {python}: missing: base==1"


def test_a_locked_version_that_does_not_fit_is_a_fault(tmp_path: Path) -> None:
    app = wheel(tmp_path, "app", "1", requires=["base>=2"])
    (fault,) = found(lock(tmp_path / "app.txt", app, wheel(tmp_path, "base", "1")))
    assert "base>=2" in fault


def test_locks_of_a_shared_environment_agree() -> None:
    """A lock must not replace what an earlier one installed into the same environment."""
    dev, *others = [
        closed_locks.pins((LOCKS / f"{name}.txt").read_text())
        for name in ("dev", "local", "service", "otel", "audit", "browser")
    ]
    names = {name for name, _ in dev}
    for other in others:
        assert {(name, version) for name, version in other if name in names} <= dev

"""Installation of exactly what the project's locks list: `python3 -m tools.install .venv dev`.

pip resolves nothing here. With hashes alone it still chooses a version by itself wherever a package asks for an extra
of another (`coverage[toml]`), and then refuses its own choice as soon as a release is newer than the lock.

A finished environment contains a state file. Without that file it was interrupted; if the file names another folder it
was moved; if it names other locks it is out of date. In each case it is created again from scratch.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

LOCKS = Path(__file__).resolve().parents[1] / "requirements"

OLDEST_PYTHON = (3, 11)

EXACTLY = ("--no-deps", "--require-hashes", "--only-binary", ":all:")
"""Look up no dependencies, accept no file that is not in the lock, build nothing with unlocked tools."""

STATE = "sync-front.json"
"""The state file of a finished environment: its folder, its Python version, and each installed lock's SHA-256."""

PYTHON_TOO_OLD = "Python 3.11 or newer is required; name one: make PYTHON=/path/to/python3.13 ..."

CANNOT_CREATE = """\
{python} could not create {environment}; its error message is above.
- "ensurepip is not available": install the system package that has it (Debian, Ubuntu: apt install python3-venv).
- No space left, or no permission to write there: use another folder: make VENV=/path/to/environment ..."""

NOT_INSTALLED = """\
{lock} could not be installed into {environment}; pip's error message is above.
- The package index cannot be reached: check the network, HTTPS_PROXY, and PIP_INDEX_URL if you use your own index.
- "No matching distribution": a package has no wheel for this Python or platform. Linux (x86-64, arm64) has all wheels
  for Python 3.11 to 3.13, macOS on Apple silicon for 3.12 and 3.13: make PYTHON=/path/to/python3.13 ...
- Hashes do not match: the index or a proxy serves files that differ from those in the lock.
- "No space left": free some, or use another folder: make VENV=/path/to/environment ...
Then run the same command again; it starts over."""

INCONSISTENT = """\
{lock} is inconsistent on this Python and platform; pip's error message is above. This is a fault of the lock: please
report it, or create the locks again with `make lock`."""

NOT_AN_ENVIRONMENT = "{environment} exists but is not a virtual environment. Remove it, or use another: make VENV=..."


def install_command(python: Path | str, lock: Path) -> list[str]:
    """Return the pip command that installs what a lock lists, and nothing else."""
    quiet = ("--disable-pip-version-check", "--quiet")
    return [str(python), "-m", "pip", *quiet, "install", "--no-user", *EXACTLY, "--requirement", str(lock)]


def set_up(environment: Path, locks: list[Path]) -> None:
    """Install what the locks list, in their order; a finished environment is left untouched.

    Raise SystemExit with a message that says what to do if a step fails.
    """
    environment = Path(os.path.abspath(environment))  # noqa: PTH100 - symbolic links are kept
    environment.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(environment.parent, os.O_RDONLY)
    try:
        # Two commands at once (`make run` here, `make test` there) share one environment.
        fcntl.flock(folder, fcntl.LOCK_EX)
        _set_up(environment, {lock.stem: lock for lock in locks})
    finally:
        os.close(folder)


def _set_up(environment: Path, locks: dict[str, Path]) -> None:
    wanted = {name: hashlib.sha256(lock.read_bytes()).hexdigest() for name, lock in locks.items()}
    installed = _finished(environment)
    if installed is None or any(installed.get(name, text) != text for name, text in wanted.items()):
        _make(environment)
        installed = {}
    if wanted.keys() <= installed.keys():
        return
    # Unfinished until everything is installed.
    (environment / STATE).write_text("{}")
    for name in [name for name in wanted if name not in installed]:
        _install(locks[name], environment)
    state = {"environment": str(environment), "python": _version(environment), "locks": {**installed, **wanted}}
    (environment / STATE).write_text(json.dumps(state, indent=1))


def _install(lock: Path, environment: Path) -> None:
    _say(f"installing {lock.parent.name}/{lock.name} into {environment.name} (only once)")
    python = environment / "bin" / "python"
    _run(install_command(python, lock), NOT_INSTALLED.format(lock=lock, environment=environment))
    check = [str(python), "-m", "pip", "--disable-pip-version-check", "check"]
    _run(check, INCONSISTENT.format(lock=lock))


def _finished(environment: Path) -> dict[str, str] | None:
    """Return the locks that a finished environment contains; None if it is unfinished, moved, or without its Python."""
    try:
        state = json.loads((environment / STATE).read_text())
        version = _version(environment)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    # A Python that is too old cannot create an environment, so it accepts the version of the existing one.
    wanted = list(sys.version_info[:2]) if sys.version_info >= OLDEST_PYTHON else version
    if state.get("environment") != str(environment) or not state.get("python") == version == wanted:
        return None
    installed: dict[str, str] = state["locks"]
    return installed


def _version(environment: Path) -> list[int]:
    command = [str(environment / "bin" / "python"), "-c", "import sys; print(list(sys.version_info[:2]))"]
    version: list[int] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=60).stdout)
    return version


def _make(environment: Path) -> None:
    if sys.version_info < OLDEST_PYTHON:
        raise SystemExit(PYTHON_TOO_OLD)
    if environment.exists():
        known = environment.is_dir() and ((environment / STATE).exists() or (environment / "pyvenv.cfg").exists())
        if not known and not (environment.is_dir() and not any(environment.iterdir())):
            raise SystemExit(NOT_AN_ENVIRONMENT.format(environment=environment))
        _say(f"{environment.name} is unfinished or out of date and is created again")
        shutil.rmtree(environment)
    environment.mkdir()
    (environment / STATE).write_text("{}")
    _create(environment)


def _create(environment: Path) -> None:
    # If the environment is active, the Python that runs this has just been removed with it.
    python = getattr(sys, "_base_executable", sys.executable)
    _run([python, "-m", "venv", str(environment)], CANNOT_CREATE.format(python=python, environment=environment))


def _run(command: list[str], advice: str) -> None:
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        _say(done.stdout)
        raise SystemExit(advice)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python3 -m tools.install", description="Install exactly what the locks list."
    )
    parser.add_argument("environment", type=Path, help="folder of the virtual environment, such as .venv")
    parser.add_argument("lock", nargs="+", help="name of a lock in requirements/, such as service")
    options = parser.parse_args()
    set_up(options.environment, [LOCKS / f"{name}.txt" for name in options.lock])


if __name__ == "__main__":
    main()

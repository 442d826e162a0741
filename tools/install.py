"""Set up a virtual environment that holds exactly what the project's locks list: `python3 -m tools.install .venv dev`.

pip is told to resolve nothing. With hashes alone it still picks a version by itself wherever a package asks for an
extra of another (`coverage[toml]`), and refuses what it picked once there is a release that the lock does not know.

An environment that is finished says so in a file of its own. One without it was interrupted, one that names another
place was moved, one with other locks is out of date: each is made again from nothing.
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
"""No dependency is looked up, no file is taken that the lock does not know, nothing is built with unlocked tools."""

STATE = "sync-front.json"
"""In a finished environment: where it is, its Python, and the locks that it holds by the hash of their text."""

ANOTHER_PYTHON = "Python 3.11 or newer is needed; name one: make PYTHON=/path/to/python3.13 ..."

NO_ENVIRONMENT = """\
{python} could not make {environment} (its own words are above).
- "ensurepip is not available": install the system's package for it (Debian, Ubuntu: apt install python3-venv).
- No space, or no right to write there: name another place: make VENV=/path/to/environment ..."""

NOT_INSTALLED = """\
{lock} could not be installed into {environment} (pip's own words are above).
- The package index cannot be reached: check the network, HTTPS_PROXY, and PIP_INDEX_URL if you use your own index.
- "No matching distribution": a package has no wheel for this Python or platform. Linux (x86-64, arm64) has all of them
  for Python 3.11 to 3.13, macOS on Apple silicon for 3.12 and 3.13: make PYTHON=/path/to/python3.13 ...
- Hashes do not match: an index or a proxy in between hands out other files than the lock names.
- "No space left": free some, or name another place: make VENV=/path/to/environment ...
Then run the same command again; it starts anew."""

NOT_CONSISTENT = """\
{lock} does not hold together on this Python and platform (pip's own words are above). That is a fault of the lock:
please report it, or make the locks again with `make lock`."""

NOT_OURS = "{environment} is there, but is no virtual environment. Remove it, or name another place: make VENV=..."


def install_command(python: Path | str, lock: Path) -> list[str]:
    """Return the pip command that installs what a lock lists, and nothing else."""
    quiet = ("--disable-pip-version-check", "--quiet")
    return [str(python), "-m", "pip", *quiet, "install", "--no-user", *EXACTLY, "--requirement", str(lock)]


def set_up(environment: Path, locks: list[Path]) -> None:
    """Make the environment hold what the locks list, in their order; a finished one is left as it is.

    Raises SystemExit, with a message that says what to do, where a step fails.
    """
    environment = Path(os.path.abspath(environment))  # noqa: PTH100 - a link stays the link that was named
    environment.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(environment.parent, os.O_RDONLY)
    try:
        # Two commands at once (`make run` here, `make test` there) make one environment.
        fcntl.flock(folder, fcntl.LOCK_EX)
        _set_up(environment, {lock.stem: lock for lock in locks})
    finally:
        os.close(folder)


def _set_up(environment: Path, locks: dict[str, Path]) -> None:
    wanted = {name: hashlib.sha256(lock.read_bytes()).hexdigest() for name, lock in locks.items()}
    held = _finished(environment)
    if held is None or any(held.get(name, text) != text for name, text in wanted.items()):
        _make(environment)
        held = {}
    if wanted.keys() <= held.keys():
        return
    # From here on it is not finished, until all is in.
    (environment / STATE).write_text("{}")
    for name in [name for name in wanted if name not in held]:
        _install(locks[name], environment)
    state = {"environment": str(environment), "python": _version(environment), "locks": {**held, **wanted}}
    (environment / STATE).write_text(json.dumps(state, indent=1))


def _install(lock: Path, environment: Path) -> None:
    _say(f"installing {lock.parent.name}/{lock.name} into {environment.name} (once)")
    python = environment / "bin" / "python"
    _run(install_command(python, lock), NOT_INSTALLED.format(lock=lock, environment=environment))
    check = [str(python), "-m", "pip", "--disable-pip-version-check", "check"]
    _run(check, NOT_CONSISTENT.format(lock=lock))


def _finished(environment: Path) -> dict[str, str] | None:
    """Return what a finished environment holds; None where it is half-made, was moved, or has lost its Python."""
    try:
        state = json.loads((environment / STATE).read_text())
        version = _version(environment)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    # Too old a Python cannot make an environment, so it does not ask for another one either.
    wanted = list(sys.version_info[:2]) if sys.version_info >= OLDEST_PYTHON else version
    if state.get("environment") != str(environment) or not state.get("python") == version == wanted:
        return None
    held: dict[str, str] = state["locks"]
    return held


def _version(environment: Path) -> list[int]:
    asked = [str(environment / "bin" / "python"), "-c", "import sys; print(list(sys.version_info[:2]))"]
    version: list[int] = json.loads(subprocess.run(asked, check=True, stdout=subprocess.PIPE, timeout=60).stdout)
    return version


def _make(environment: Path) -> None:
    if sys.version_info < OLDEST_PYTHON:
        raise SystemExit(ANOTHER_PYTHON)
    if environment.exists():
        ours = environment.is_dir() and ((environment / STATE).exists() or (environment / "pyvenv.cfg").exists())
        if not ours and not (environment.is_dir() and not any(environment.iterdir())):
            raise SystemExit(NOT_OURS.format(environment=environment))
        _say(f"{environment.name} is unfinished or out of date and is made again")
        shutil.rmtree(environment)
    environment.mkdir()
    (environment / STATE).write_text("{}")
    # In an environment that is active, the Python that runs this is the one that has just been removed.
    python = getattr(sys, "_base_executable", sys.executable)
    _run([python, "-m", "venv", str(environment)], NO_ENVIRONMENT.format(python=python, environment=environment))


def _run(command: list[str], advice: str) -> None:
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        _say(done.stdout)
        raise SystemExit(advice)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Read the command line."""
    arguments = argparse.ArgumentParser(prog="python3 -m tools.install", description="Install exactly what locks list.")
    arguments.add_argument("environment", type=Path, help="the folder of the virtual environment, such as .venv")
    arguments.add_argument("lock", nargs="+", help="names of locks in requirements/, such as service")
    asked = arguments.parse_args()
    set_up(asked.environment, [LOCKS / f"{name}.txt" for name in asked.lock])


if __name__ == "__main__":
    main()

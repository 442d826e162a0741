"""Another revision of the service as a design: its files, its locked packages, its `python -m service serve`."""

from __future__ import annotations

import subprocess
import tarfile
import venv
from io import BytesIO
from pathlib import Path
from typing import Final

from tests.bench.subjects import LOGS, SERVICE, Design
from tools.install import install_command

LOCK: Final = Path("requirements/service.txt")


def checked_out(revision: str) -> Design:
    """Check out a revision and install what it locks, both once; raise CalledProcessError if git or pip fails."""
    commit = _git("rev-parse", "--short", "--verify", f"{revision}^{{commit}}").decode().strip()
    folder = (LOGS / commit).resolve()
    python = folder / ".venv/bin/python"
    finished = folder / ".finished"
    if not finished.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=BytesIO(_git("archive", commit))) as archive:
            archive.extractall(folder, filter="data")
        venv.create(folder / ".venv", clear=True, with_pip=True)
        subprocess.run(install_command(python, folder / LOCK), check=True)
        finished.touch()
    return Design(
        "revision", f"sync-front at {commit}", SERVICE.arguments, reports_ready=True, folder=folder, python=str(python)
    )


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], check=True, stdout=subprocess.PIPE).stdout  # noqa: S607 - git is where PATH says

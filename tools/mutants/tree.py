"""Copies of the working tree, and pytest in them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tools.mutants.source import Source

Outcome = Literal["passed", "failed", "timeout"]

_PYTEST: Final = (
    *("-m", "pytest", "-q", "-p", "tools.mutants.pytest_plugin", "-p", "no:cacheprovider"),
    *("-o", "asyncio_debug=false", "--hypothesis-seed=0"),
)
"""asyncio's debug mode doubles the time; all runs have the same seed, so that they can be repeated."""

_PLUGINS_NOT_NEEDED: Final = ("xdist", "xdist.looponfail", "pytest_cov", "anyio")
"""They take a third of the time that pytest needs to start."""


@dataclass(frozen=True)
class Run:
    """What a run of tests has shown."""

    outcome: Outcome
    failed: str
    """The first test that failed, or the last line of the output if no test could run."""
    seconds: float


class Tree:
    """A copy of the files that git knows or could know; only one run at a time uses it."""

    def __init__(self, origin: Path, folder: Path) -> None:
        self.root = folder
        listed = subprocess.run(
            ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"),  # noqa: S607 - git of the PATH
            cwd=origin,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in listed.stdout.split("\0"):
            if name and (origin / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(origin / name, folder / name)

    def write(self, source: Source) -> None:
        """Replace a module, of which Python must not use an old compiled version."""
        path = self.root / source.path
        path.write_bytes(source.data)
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            compiled.unlink()

    def choose(self, arguments: Sequence[str], timeout: float) -> Run:
        """Run tests until one fails; after `timeout` seconds, end them."""
        plugins = [part for name in _PLUGINS_NOT_NEEDED for part in ("-p", f"no:{name}")]
        shutil.rmtree(self.root / ".hypothesis", ignore_errors=True)  # failures of an earlier mutant
        return self.pytest(["-x", "--timeout=30", *plugins, *arguments], timeout)

    def pytest(self, arguments: Sequence[str], timeout: float, **environment: str) -> Run:
        """Run pytest with the plugin; after `timeout` seconds, end it and what it has started."""
        log = self.root.with_name(f"{self.root.name}.log")
        began = time.monotonic()
        with log.open("wb") as output:
            process = subprocess.Popen(
                (sys.executable, *_PYTEST, *arguments),
                cwd=self.root,
                env={**os.environ, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = process.wait(timeout)
            except BaseException as error:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                return Run("timeout", "", time.monotonic() - began)
        seconds = time.monotonic() - began
        # 5: there was nothing to run. Any other status but 0 means that tests failed or could not even be imported.
        return Run(
            "passed" if status in {0, 5} else "failed", _first_failure(log.read_text("utf-8", "replace")), seconds
        )


def _first_failure(output: str) -> str:
    found = re.search(r"^(?:FAILED|ERROR) (tests/.*?)(?: - .*)?$", output, re.MULTILINE)
    lines = output.split("\n")
    return found.group(1) if found else next((line for line in reversed(lines) if line.strip()), "")

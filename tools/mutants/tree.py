"""Copies of the working tree, and pytest in them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tools.mutants.source import Source

Outcome = Literal["passed", "failed", "timeout"]

_OPTIONS: Final = (
    *("-q", "-p", "tools.mutants.pytest_plugin", "-p", "no:cacheprovider"),
    *("-o", "asyncio_debug=false", "--hypothesis-seed=0"),
)
"""asyncio's debug mode doubles the time; all runs have the same seed, so that they can be repeated."""

_PLUGINS_NOT_NEEDED: Final = ("xdist", "xdist.looponfail", "pytest_cov", "anyio", "benchmark")


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
        self._log = folder.with_name(f"{folder.name}.log")
        self._warm: subprocess.Popen[str] | None = None
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

    def close(self) -> None:
        """End the process that runs chosen tests."""
        if self._warm is not None:
            self._warm.communicate()

    def run_all(self, arguments: Sequence[str], timeout: float, coverage: Path) -> Outcome:
        """Run all tests in a process of their own, with coverage data in a file."""
        with self._log.open("wb") as output:
            process = subprocess.Popen(
                (sys.executable, "-m", "pytest", *_OPTIONS, *arguments),
                cwd=self.root,
                env={**os.environ, "COVERAGE_FILE": str(coverage)},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                return "failed" if process.wait(timeout) else "passed"
            except subprocess.TimeoutExpired:
                return "timeout"
            finally:
                _kill(process.pid)
                process.wait()

    def run_until_one_fails(self, arguments: Sequence[str], timeout: float) -> Run:
        """Run tests until one fails; after `timeout` seconds, end them and what they have started."""
        shutil.rmtree(self.root / ".hypothesis", ignore_errors=True)  # examples that failed with another fault
        if self._warm is None:
            self._warm = subprocess.Popen(
                (sys.executable, "-m", "tools.mutants.warm"),
                cwd=self.root,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        plugins = [part for name in _PLUGINS_NOT_NEEDED for part in ("-p", f"no:{name}")]
        request = {"arguments": [*_OPTIONS, "-x", "--timeout=30", *plugins, *arguments], "log": str(self._log)}
        print(json.dumps(request), file=self._warm.stdin, flush=True)
        process = int(self._answer())
        began = time.monotonic()
        timer = threading.Timer(timeout, _kill, [process])
        timer.start()
        status = int(self._answer())
        timer.cancel()
        _kill(process)  # what it has left behind
        seconds = time.monotonic() - began
        if status == -signal.SIGKILL:
            return Run("timeout", "", seconds)
        # 5: there was nothing to run. Any other status but 0 means that tests failed or could not even be imported.
        failed = "" if status in {0, 5} else _first_failure(self._log.read_text("utf-8", "replace"))
        return Run("passed" if status in {0, 5} else "failed", failed, seconds)

    def _answer(self) -> str:
        assert self._warm is not None and self._warm.stdout is not None  # noqa: S101, PT018 - it has been started
        return self._warm.stdout.readline()


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _first_failure(output: str) -> str:
    found = re.search(r"^(?:FAILED|ERROR) (tests/.*?)(?: - .*)?$", output, re.MULTILINE)
    lines = output.split("\n")
    return found.group(1) if found else next((line for line in reversed(lines) if line.strip()), "")

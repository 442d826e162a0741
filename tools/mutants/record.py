"""The record of one run of all tests without faults: which tests execute which line, and how long each takes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Self

from coverage import CoverageData

from tools.mutants.listing import modules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tools.mutants.tree import Tree

NOT_FOR_THESE: Final = ("tests/iac", "tests/image", "tests/browser", "tests/locks", "tests/bench", "tests/tools")
"""They test no line of these modules in their own process, and take minutes."""

TIMEOUT_S: Final = 900.0


@dataclass(frozen=True)
class Record:
    """Tests by line."""

    durations: dict[str, float]
    """Seconds by test; without tests that failed."""
    excluded: list[str]
    """Tests that failed although there was no fault, or that were skipped."""
    executed: dict[str, dict[str, list[int]]]
    """The numbers of the tests by module and line; a test's number is its place in `durations`."""
    texts: dict[str, str]
    """The modules at that time."""
    digests: dict[str, str]
    """Digests of the test files at that time."""

    @classmethod
    def make(cls, tree: Tree, workers: int) -> Self:
        """Run all tests in a tree."""
        data, report = tree.root / "build" / "coverage", tree.root / "build" / "durations.json"
        report.parent.mkdir()
        ignored = [f"--ignore={folder}" for folder in NOT_FOR_THESE]
        coverage = ("--cov", "--cov-context=test", "--cov-report=", "--cov-fail-under=0")
        xdist = ("-n", str(workers), "--dist", "worksteal")
        outcome = tree.run_all(["--record", str(report), *xdist, *coverage, *ignored], TIMEOUT_S, data)
        if not report.exists():
            raise RuntimeError(f"the tests did not run to their end: {outcome}")
        return cls.read_run(tree.root, data, report)

    @classmethod
    def read_run(cls, root: Path, data: Path, report: Path) -> Self:
        """Read what a run has left behind."""
        found = json.loads(report.read_text(encoding="utf-8"))
        durations = {test: took for test, took in sorted(found["durations"].items()) if test not in found["failed"]}
        numbers = {test: number for number, test in enumerate(durations)}
        coverage = CoverageData(str(data))
        coverage.read()
        executed: dict[str, dict[str, list[int]]] = {}
        for path in modules(root):
            lines = coverage.contexts_by_lineno(str(root / path))
            executed[path] = {
                str(line): sorted({numbers[test] for test in _tests(contexts) if test in numbers})
                for line, contexts in sorted(lines.items())
            }
        texts = {path: (root / path).read_text(encoding="utf-8") for path in executed}
        files = sorted(str(path.relative_to(root)) for path in (root / "tests").rglob("test_*.py"))
        return cls(durations, found["failed"], executed, texts, {path: digest(root, path) for path in files})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Load a record that was saved."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def save(self, path: Path) -> None:
        """Save the record."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


def digest(root: Path, path: str) -> str:
    """Return a digest of a file; of one that is missing, an empty text."""
    file = root / path
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else ""


def _tests(contexts: list[str]) -> Iterator[str]:
    for context in contexts:
        test, bar, _ = context.rpartition("|")  # then comes "setup", "run" or "teardown"
        if bar:
            yield test

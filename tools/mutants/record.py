"""The record of one run of all tests without faults: which tests execute which line, and how long each takes."""

from __future__ import annotations

import ast
import hashlib
import json
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from coverage import CoverageData

from tools.mutants.listing import modules
from tools.mutants.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tools.mutants.source import Mutant
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
    digests: dict[str, str]
    """A digest of each file; a file may have changed since."""
    _names: dict[str, set[int]] = field(default_factory=dict, repr=False, compare=False)

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
        files = [*modules(root), *(str(path.relative_to(root)) for path in sorted((root / "tests").rglob("*.py")))]
        return cls(durations, found["failed"], executed, {path: digest(root, path) for path in files})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Load a record that was saved."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def save(self, path: Path) -> None:
        """Save the record."""
        content = {name: value for name, value in asdict(self).items() if not name.startswith("_")}
        path.write_text(json.dumps(content), encoding="utf-8")

    def tests(self, root: Path, mutant: Mutant) -> set[str]:
        """Return the tests that execute a mutant's statement.

        A statement outside functions is executed by every import: its tests are those which execute a function that
        uses a name the statement defines. Of a module that has changed since, all tests are taken.
        """
        executed = self.executed.get(mutant.path, {})
        numbers: set[int] = set()
        if self.digests.get(mutant.path) == digest(root, mutant.path):
            if mutant.names is None:
                numbers = self._numbers(mutant.path, range(mutant.first, mutant.last + 1))
            else:
                numbers = set().union(*(self._users(root).get(name, set()) for name in mutant.names))
        if not numbers:
            numbers = {number for line in executed.values() for number in line}
        names = list(self.durations)
        return {names[number] for number in numbers}

    def changed(self, root: Path, files: Iterable[str]) -> set[str]:
        """Return which of these files have changed since, or are new."""
        return {path for path in files if self.digests.get(path) != digest(root, path)}

    def _numbers(self, path: str, lines: Iterable[int]) -> set[int]:
        executed = self.executed.get(path, {})
        return {number for line in lines for number in executed.get(str(line), [])}

    def _users(self, root: Path) -> dict[str, set[int]]:
        if not self._names:
            users: defaultdict[str, set[int]] = defaultdict(set)
            for path in self.executed:
                for names, lines in _functions(Source.read(root, path).tree):
                    numbers = self._numbers(path, lines)
                    for name in names:
                        users[name] |= numbers
            self._names.update(users)
        return self._names


def digest(root: Path, path: str) -> str:
    """Return a digest of a file; of one that is missing, an empty text."""
    file = root / path
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else ""


def _tests(contexts: list[str]) -> Iterator[str]:
    for context in contexts:
        test, bar, _ = context.rpartition("|")  # then comes "setup", "run" or "teardown"
        if bar:
            yield test


def _functions(tree: ast.Module) -> Iterator[tuple[set[str], range]]:
    """Yield the names that each function uses, and its lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            parts: list[Any] = [part for statement in node.body for part in ast.walk(statement)]
            names = {getattr(part, attribute, None) for part in parts for attribute in ("id", "attr", "arg")}
            yield {name for name in names if name}, range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1)

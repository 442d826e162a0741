"""The choice of tests for a mutant: those that execute its line, in the order in which they notice most for their time.

The tests in the file that mirrors the module come first, in a run of their own, because most mutants end there. If
nothing is noticed, a second run has the others. In each, the shortest come first, as long as the budget lasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tools.mutants.executions import Executions
    from tools.mutants.record import Record
    from tools.mutants.source import Mutant


@dataclass(frozen=True)
class Choice:
    """Tests to run in one go."""

    files: list[str]
    chosen: list[str]
    known: list[str]
    """Other tests of these files are new: nobody knows what they execute, so they are run, too."""
    seconds: float
    """How long the run is expected to take."""


NEW_TESTS_S: Final = 60.0
"""How long the new tests of changed files are expected to take."""


def mirror(path: str) -> Path:
    """Return the test file of a module."""
    module = Path(path)
    return Path("tests", *module.parts[1:-1], f"test_{module.stem}.py")


def choices(executions: Executions, mutant: Mutant, budget: float) -> list[Choice]:
    """Choose the tests for a mutant; those of each run take at most `budget` seconds."""
    record, root = executions.record, executions.root
    executing = sorted(executions.tests(mutant), key=lambda test: (record.durations[test], test))
    own_file = mirror(mutant.path)
    beside = [str(path.relative_to(root)) for path in sorted((root / own_file.parent).glob("test_*.py"))]
    changed = executions.changed(beside)
    # A test whose text has changed may execute more than it did.
    own = [test for test in record.durations if _file(test) == str(own_file)] if str(own_file) in changed else executing
    first = _within(budget, record, [test for test in own if _file(test) == str(own_file)])
    second = _within(budget, record, [test for test in executing if _file(test) != str(own_file)])
    runs = [_choice(record, first, changed), _choice(record, second, set())]
    return [run for run in runs if run.files]


def _within(budget: float, record: Record, tests: list[str]) -> list[str]:
    return [
        test
        for test, took in zip(tests, accumulate(record.durations[test] for test in tests), strict=True)
        if took <= budget
    ]


def _choice(record: Record, chosen: list[str], changed: set[str]) -> Choice:
    files = {*map(_file, chosen), *changed}
    known = [test for test in (*record.durations, *record.excluded) if _file(test) in files]
    seconds = sum(record.durations[test] for test in chosen) + (NEW_TESTS_S if changed else 0.0)
    return Choice(sorted(files), chosen, known, seconds)


def _file(test: str) -> str:
    return test.partition("::")[0]

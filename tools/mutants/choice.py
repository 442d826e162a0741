"""The choice of tests for a mutant: those that execute its line, in the order in which they notice most for their time.

The tests in the file that mirrors the module come first, in a run of their own, because most mutants end there. If
nothing is noticed, a second run has the others, the shortest first, as long as the budget lasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tools.mutants.record import Record
    from tools.mutants.source import Mutant


@dataclass(frozen=True)
class Choice:
    """Tests to run in one go."""

    files: list[str]
    chosen: list[str]
    known: list[str]
    """Other tests of these files are new, so nobody knows what they execute: they are run, too."""
    seconds: float
    """How long the chosen tests are expected to take."""


def mirror(path: str) -> Path:
    """Return the test file of a module."""
    module = Path(path)
    return Path("tests", *module.parts[1:-1], f"test_{module.stem}.py")


def choices(record: Record, root: Path, mutant: Mutant, budget: float) -> list[Choice]:
    """Choose the tests for a mutant; those of the second run take at most `budget` seconds."""
    executing = sorted(record.tests(root, mutant), key=lambda test: (record.durations[test], test))
    own_file = mirror(mutant.path)
    beside = [str(path.relative_to(root)) for path in sorted((root / own_file.parent).glob("test_*.py"))]
    changed = record.changed(root, beside)
    own = [test for test in executing if _file(test) == str(own_file)]
    others = [test for test in executing if test not in set(own) and _file(test) not in changed]
    within, seconds = [], 0.0
    for test in others:
        seconds += record.durations[test]
        if seconds > budget:
            break
        within.append(test)
    first = _choice(record, own, {*map(_file, own), *changed}, changed)
    second = _choice(record, within, set(map(_file, within)), record.changed(root, set(map(_file, within))) - changed)
    return [choice for choice in (first, second) if choice.files]


def _choice(record: Record, chosen: list[str], files: Iterable[str], changed: set[str]) -> Choice:
    tests = [*record.durations, *record.excluded]
    known = [test for test in tests if _file(test) in set(files) - changed]
    return Choice(sorted(files), chosen, known, sum(record.durations[test] for test in chosen))


def _file(test: str) -> str:
    return test.partition("::")[0]

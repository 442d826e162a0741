"""The summary of a mutation run."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tools.mutants.examine import Result

NOTICED: Final = 0.9
"""The share of all mutants that the tests must notice."""

EQUIVALENT: Final = 0.05
"""The share that may be called equivalent at most."""


@dataclass(frozen=True)
class Equivalent:
    """A mutant that no test can notice. Lines move, so their text names it."""

    path: str
    before: str
    after: str
    reason: str

    def is_of(self, result: Result) -> bool:
        """Tell whether a result is of this mutant."""
        return result.name.startswith(f"{self.path}:") and (result.before, result.after) == (self.before, self.after)


def load_equivalents(path: Path) -> list[Equivalent]:
    """Load the list of equivalent mutants."""
    return [Equivalent(**item) for item in tomllib.loads(path.read_text("utf-8")).get("mutant", [])]


def line(result: Result) -> str:
    """Describe a result in one line."""
    verdict = f"noticed by {result.by}" if result.noticed else f"SURVIVED {result.tests} tests"
    return f"{result.seconds:6.1f} s  {result.name}  {verdict}"


def summary(results: Sequence[Result], equivalents: Sequence[Equivalent]) -> tuple[str, bool]:
    """Return the survivors and the shares by package, and whether the shares are good enough."""
    survivors = [result for result in results if not result.noticed]
    reasons = {result.name: known.reason for result in survivors for known in equivalents if known.is_of(result)}
    lines = [part for result in survivors for part in _survivor(result, reasons.get(result.name))]
    packages: defaultdict[str, list[Result]] = defaultdict(list)
    for result in results:
        packages[result.name.partition(":")[0].rpartition("/")[0]].append(result)
    lines += [_shares(package, packages[package], reasons) for package in sorted(packages)]
    lines.append(_shares("all", results, reasons))
    noticed = len(results) - len(survivors)
    return "\n".join(lines), noticed >= NOTICED * len(results) and len(reasons) <= EQUIVALENT * len(results)


def _survivor(result: Result, reason: str | None) -> list[str]:
    verdict = f"{result.tests} tests ran in {', '.join(result.files)}" if reason is None else f"equivalent: {reason}"
    return [result.name, f"    - {result.before}", f"    + {result.after}", f"    {verdict}"]


def _shares(name: str, results: Sequence[Result], reasons: dict[str, str]) -> str:
    noticed = sum(result.noticed for result in results)
    equivalent = sum(result.name in reasons for result in results)
    share = noticed / max(1, len(results))
    return f"{name}: {noticed} of {len(results)} noticed ({share:.1%}), {equivalent} equivalent"

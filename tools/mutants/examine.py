"""The examination of mutants: whether tests notice them."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from tools.mutants.choice import choices
from tools.mutants.executions import Executions
from tools.mutants.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tools.mutants.choice import Choice
    from tools.mutants.record import Record
    from tools.mutants.source import Mutant
    from tools.mutants.tree import Run

START_S: Final = 60.0
"""The time that pytest has to start and to collect tests on a busy machine."""

SLOWER: Final = 4.0
"""A run that takes so many times as long as expected hangs."""


@dataclass(frozen=True)
class Result:
    """What became of a mutant."""

    name: str
    before: str
    after: str
    noticed: bool
    by: str
    """The test that noticed it, or "timeout"; else empty."""
    tests: int
    """How many tests were chosen."""
    files: list[str]
    """Their files."""
    seconds: float


class Examiner:
    """Examines several mutants at a time, each in a tree of its own."""

    def __init__(self, origin: Path, record: Record, budget: float, workers: int) -> None:
        self._origin = origin
        self._executions = Executions(record, origin)
        self._budget = budget
        self._workers = workers

    def results(self, mutants: Sequence[Mutant]) -> Iterator[Result]:
        """Yield the results as they come."""
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ExitStack() as closing:
            trees: SimpleQueue[Tree] = SimpleQueue()
            for number in range(self._workers):
                tree = Tree(self._origin, Path(folder, str(number)))
                closing.callback(tree.close)
                trees.put(tree)
            stopped = threading.Event()
            with ThreadPoolExecutor(self._workers) as pool:
                tasks = [pool.submit(self._in_a_tree, trees, mutant, stopped) for mutant in mutants]
                try:
                    for task in as_completed(tasks):
                        result = task.result()
                        if result is not None:
                            yield result
                finally:
                    stopped.set()

    def _in_a_tree(self, trees: SimpleQueue[Tree], mutant: Mutant, stopped: threading.Event) -> Result | None:
        if stopped.is_set():
            return None
        tree = trees.get()
        tree.write(mutant.faulty)
        try:
            return self._result(tree, mutant)
        finally:
            tree.write(mutant.source)
            trees.put(tree)

    def _result(self, tree: Tree, mutant: Mutant) -> Result:
        chosen, seconds, by = 0, 0.0, ""
        files: list[str] = []
        for choice in choices(self._executions, mutant, self._budget):
            run = run_choice(tree, choice)
            chosen, seconds = chosen + len(choice.chosen), seconds + run.seconds
            files += choice.files
            if run.outcome != "passed":
                by = run.failed or run.outcome
                break
        return Result(mutant.name, mutant.before, mutant.after, bool(by), by, chosen, files, round(seconds, 1))


def run_choice(tree: Tree, choice: Choice) -> Run:
    """Run chosen tests in a tree."""
    file = tree.root.with_name(f"{tree.root.name}.json")
    file.write_text(json.dumps({"chosen": choice.chosen, "known": choice.known}), encoding="utf-8")
    return tree.run_until_one_fails(["--choice", str(file), *choice.files], START_S + SLOWER * choice.seconds)


def load(path: Path) -> dict[str, Result]:
    """Load results by name; none if there is no file."""
    return {item["name"]: Result(**item) for item in json.loads(path.read_text("utf-8"))} if path.exists() else {}


def save(path: Path, results: dict[str, Result]) -> None:
    """Save results, so that an interruption leaves the old or the new file."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps([asdict(results[name]) for name in sorted(results)], indent=1), encoding="utf-8")
    shutil.move(new, path)

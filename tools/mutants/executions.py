"""Which tests execute a statement of the tree as it is now, by a record that may be older."""

from __future__ import annotations

import ast
from collections import defaultdict
from difflib import SequenceMatcher
from functools import cache
from typing import TYPE_CHECKING, Any

from tools.mutants.record import digest
from tools.mutants.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from tools.mutants.record import Record
    from tools.mutants.source import Mutant


class Executions:
    """Looks up tests in a record."""

    def __init__(self, record: Record, root: Path) -> None:
        self.record = record
        self.root = root
        self._names = list(record.durations)
        self._old_lines = cache(self._compare)
        self._names_by_test = cache(self._read_test_names)
        self._users = self._find_users()

    def tests(self, mutant: Mutant) -> set[str]:
        """Return the tests that execute a mutant's statement.

        A statement outside functions is executed by every import: its tests are those which use a name the statement
        defines, or execute a function that does. If there are none or it is new, all tests of its module are taken.
        """
        if mutant.names is None:
            numbers = self._numbers(mutant.path, range(mutant.first, mutant.last + 1))
        else:
            numbers = {number for name in mutant.names for number in self._users.get(name, ())}
        if not numbers:
            lines = self.record.executed.get(mutant.path, {}).values()
            numbers = {number for line in lines for number in line}
        return {self._names[number] for number in numbers}

    def changed(self, files: Iterable[str]) -> set[str]:
        """Return which of these test files have changed since, or are new."""
        return {path for path in files if self.record.digests.get(path) != digest(self.root, path)}

    def _numbers(self, path: str, lines: Iterable[int]) -> set[int]:
        old, executed = self._old_lines(path), self.record.executed.get(path, {})
        return {number for line in lines for number in executed.get(str(old.get(line)), ())}

    def _compare(self, path: str) -> Mapping[int, int]:
        """Return the number that each line had when the record was made; without new lines."""
        old = self.record.texts.get(path, "").split("\n")
        new = Source.read(self.root, path).data.decode().split("\n")
        blocks = SequenceMatcher(None, new, old, autojunk=False).get_matching_blocks()
        return {block.a + line + 1: block.b + line + 1 for block in blocks for line in range(block.size)}

    def _find_users(self) -> Mapping[str, set[int]]:
        users: defaultdict[str, set[int]] = defaultdict(set)
        for path in self.record.executed:
            if (self.root / path).exists():
                for _, names, lines in _functions(Source.read(self.root, path).tree):
                    numbers = self._numbers(path, lines)
                    for name in names:
                        users[name] |= numbers
        for number, test in enumerate(self._names):
            for name in self._test_names(test):
                users[name].add(number)
        return users

    def _test_names(self, test: str) -> set[str]:
        """Return the names that a test uses."""
        path, _, function = test.partition("::")
        return self._names_by_test(path).get(function.partition("[")[0], set())

    def _read_test_names(self, path: str) -> Mapping[str, set[str]]:
        if not (self.root / path).exists():
            return {}
        return {name: names for name, names, _ in _functions(Source.read(self.root, path).tree)}


def _functions(tree: ast.Module) -> Iterator[tuple[str, set[str], range]]:
    """Yield each function's own name, the names that it uses, and its lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            parts: list[Any] = [part for statement in node.body for part in ast.walk(statement)]
            names = {getattr(part, attribute, None) for part in parts for attribute in ("id", "attr", "arg")}
            lines = range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1)
            yield node.name, {name for name in names if name}, lines

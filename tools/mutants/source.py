"""The text of a module, and edits of it that keep the number of its lines."""

from __future__ import annotations

import ast
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Source:
    """A module's text in UTF-8, in which Python counts columns."""

    path: str
    data: bytes

    @classmethod
    def read(cls, root: Path, path: str) -> Source:
        """Read a module, which is named relative to `root`."""
        return cls(path, (root / path).read_bytes())

    @cached_property
    def tree(self) -> ast.Module:
        """The module's syntax tree."""
        return ast.parse(self.data)

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *accumulate(len(line) for line in self.data.splitlines(keepends=True))]

    def start(self, node: ast.expr | ast.stmt | ast.keyword) -> int:
        """Return where a node begins."""
        return self._starts[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr | ast.stmt | ast.keyword) -> int:
        """Return where a node ends."""
        assert node.end_lineno is not None and node.end_col_offset is not None  # noqa: S101, PT018 - parsed nodes do
        return self._starts[node.end_lineno - 1] + node.end_col_offset

    def text(self, start: int, end: int) -> str:
        """Return a part of the text."""
        return self.data[start:end].decode()

    def line_number(self, position: int) -> int:
        """Return the number of the line that holds a position; the first is 1."""
        return bisect_right(self._starts, position)

    def line(self, number: int) -> str:
        """Return a line without its indentation."""
        return self.data[self._starts[number - 1] : self._starts[number]].decode().strip()


@dataclass(frozen=True)
class Edit:
    """A replacement of a part of a module's text."""

    kind: str
    start: int
    end: int
    text: str

    def apply(self, source: Source) -> Source:
        """Return the edited module, in which all later lines keep their numbers."""
        lost = source.data.count(b"\n", self.start, self.end) - self.text.count("\n")
        new = self.text.encode() + b"\n" * lost
        return Source(source.path, source.data[: self.start] + new + source.data[self.end :])


@dataclass(frozen=True)
class Mutant:
    """A module with one fault."""

    source: Source
    edit: Edit
    first: int
    """The first line of the statement that the edit is in."""
    last: int
    names: tuple[str, ...] | None
    """None in a function; else the names that the statement defines: it is executed when the module is imported."""
    number: int = 1
    """Counts mutants of one kind in one line."""

    @property
    def path(self) -> str:
        """The module's path."""
        return self.source.path

    @property
    def line(self) -> int:
        """The number of the line with the fault."""
        return self.source.line_number(self.edit.start)

    @property
    def name(self) -> str:
        """A name that is the same as long as the line does not move."""
        return f"{self.path}:{self.line} {self.edit.kind}{f' {self.number}' if self.number > 1 else ''}"

    @property
    def before(self) -> str:
        """The line without the fault."""
        return self.source.line(self.line)

    @property
    def after(self) -> str:
        """The line with the fault."""
        return self.faulty.line(self.line)

    @cached_property
    def faulty(self) -> Source:
        """The module with the fault."""
        return self.edit.apply(self.source)

"""All mutants of a module, and a sample of them."""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from tools.mutants.faults import edits
from tools.mutants.left_out import is_left_out
from tools.mutants.source import Mutant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tools.mutants.source import Source

PACKAGES: Final = ("service/bridge", "service/stepfunctions", "service/web", "service/appsync")


def modules(root: Path) -> list[str]:
    """Return the modules that get faults."""
    return sorted(str(path.relative_to(root)) for package in PACKAGES for path in (root / package).glob("*.py"))


def mutants(source: Source) -> list[Mutant]:
    """Return all mutants of a module, in the order of its text."""
    found = sorted(_walk(source, source.tree, 1, 1, ()), key=lambda mutant: (mutant.edit.start, mutant.edit.end))
    counts: Counter[tuple[int, str]] = Counter()
    numbered = []
    for mutant in found:
        counts[mutant.line, mutant.edit.kind] += 1
        numbered.append(replace(mutant, number=counts[mutant.line, mutant.edit.kind]))
    return numbered


def is_another_program(mutant: Mutant) -> bool:
    """Tell whether the module with the fault can be compiled and is another one."""
    try:
        compile(mutant.faulty.data, mutant.path, "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return ast.dump(mutant.faulty.tree) != ast.dump(mutant.source.tree)


def sample(everything: Iterable[Mutant], count: int, seed: int) -> list[Mutant]:
    """Choose mutants, from each package as many as its share of the faulty lines, and at most one from each line.

    They are ranked by a hash of their text, so that a change elsewhere hardly changes the choice.
    """
    lines: dict[tuple[str, int], Mutant] = {}
    for mutant in sorted(everything, key=lambda mutant: _rank(mutant, seed)):
        lines.setdefault((mutant.path, mutant.line), mutant)
    packages: dict[str, list[Mutant]] = {}
    for mutant in lines.values():
        packages.setdefault(mutant.path.rpartition("/")[0], []).append(mutant)
    # Mutant n of m has the place n/m, so that each package has an even share of the first places.
    places = [(number / len(package), mutant) for package in packages.values() for number, mutant in enumerate(package)]
    places.sort(key=lambda place: place[0])
    return list(islice((mutant for _, mutant in places if is_another_program(mutant)), count))


def _walk(source: Source, parent: ast.AST, first: int, last: int, names: tuple[str, ...] | None) -> Iterator[Mutant]:
    for node in ast.iter_child_nodes(parent):
        if is_left_out(node, parent):
            continue
        start, end = _lines(node, first, last)
        owned = None if names is None else (*names, *_names(node))
        for edit in edits(source, node):
            yield Mutant(source, edit, start, end, owned)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            # The defaults are evaluated with the definition, the body with a call.
            for part in [*node.args.defaults, *(default for default in node.args.kw_defaults if default)]:
                yield from _walk(source, ast.Expression(part), start, end, owned)
            body = ast.Module(node.body, []) if isinstance(node.body, list) else ast.Expression(node.body)
            yield from _walk(source, body, start, end, None)
        else:
            yield from _walk(source, node, start, end, owned)


def _lines(node: ast.AST, first: int, last: int) -> tuple[int, int]:
    """Return the lines that are executed if the node is; `first` and `last` if it is only a part of a statement."""
    parts: tuple[ast.stmt, ast.stmt | ast.expr]
    match node:
        case ast.If() | ast.While():
            parts = node, node.test
        case ast.For() | ast.AsyncFor():
            parts = node, node.iter
        case ast.Match():
            parts = node, node.subject
        case ast.With() | ast.AsyncWith():
            parts = node, node.items[-1].context_expr
        case ast.Try(finalbody=[start, *_] as body) | ast.ExceptHandler(body=[start, *_] as body):
            parts = start, body[-1]
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return node.lineno, max(node.lineno, node.body[0].lineno - 1)
        case ast.stmt():
            parts = node, node
        case _:
            return first, last
    return parts[0].lineno, parts[1].end_lineno or last


def _names(node: ast.AST) -> tuple[str, ...]:
    """Return the names that a statement outside functions defines."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return () if name.startswith("__") else (name,)  # the class has the name that others use
        case ast.Assign(targets=targets):
            return tuple(part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)):
            return (name,)
    return ()


def _rank(mutant: Mutant, seed: int) -> str:
    edit = mutant.edit
    key = f"{seed} {mutant.path} {edit.kind} {mutant.before} {edit.text} {mutant.number}"
    return hashlib.sha256(key.encode()).hexdigest()

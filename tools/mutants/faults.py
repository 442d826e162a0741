"""The faults: each is one small edit that resembles what people get wrong."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from tools.mutants.left_out import is_left_out, is_prose
from tools.mutants.source import Edit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.mutants.source import Source

_COMPARISONS: Final[dict[type[ast.cmpop], tuple[str, str]]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: (r"\bis\b", "is not"),
    ast.IsNot: (r"\bis\s+not\b", "is"),
    ast.In: (r"\bin\b", "not in"),
    ast.NotIn: (r"\bnot\s+in\b", "in"),
}
_OPERATORS: Final[dict[type[ast.operator], tuple[str, str]]] = {
    ast.Add: (r"\+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: (r"\*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
}
_LITERAL: Final = re.compile(r"""(?P<quote>["'])(?:\\.|(?!(?P=quote))[^\\])*(?P=quote)""")


def edits(source: Source, node: ast.AST) -> Iterator[Edit]:
    """Yield the faults of one node, without those of the nodes in it."""
    for faults in (_conditions, _comparisons, _operators, _numbers, _strings, _calls, _keywords, _statements, _blocks):
        yield from faults(source, node)


def _conditions(source: Source, node: ast.AST) -> Iterator[Edit]:
    conditions = node.ifs if isinstance(node, ast.comprehension) else []
    if isinstance(node, ast.If | ast.IfExp | ast.While) and not isinstance(node.test, ast.Constant):
        conditions = [node.test]
    for condition in conditions:
        start, end = source.start(condition), source.end(condition)
        if isinstance(condition, ast.UnaryOp) and isinstance(condition.op, ast.Not):
            yield Edit("negate condition", start, source.start(condition.operand), "")
        else:
            yield Edit("negate condition", start, end, f"not ({source.text(start, end)})")


def _comparisons(source: Source, node: ast.AST) -> Iterator[Edit]:
    match node:
        case ast.Compare():
            operands = [node.left, *node.comparators]
            for left, operator, right in zip(operands, node.ops, node.comparators, strict=False):
                yield from _between(source, left, right, "swap comparison", *_COMPARISONS[type(operator)])
        case ast.BoolOp():
            swap = (r"\band\b", "or") if isinstance(node.op, ast.And) else (r"\bor\b", "and")
            for left, right in zip(node.values, node.values[1:], strict=False):
                yield from _between(source, left, right, "swap and/or", *swap)


def _operators(source: Source, node: ast.AST) -> Iterator[Edit]:
    match node:
        case ast.BinOp(op=operator, left=left, right=right) | ast.AugAssign(op=operator, target=left, value=right):
            if type(operator) in _OPERATORS and not (_is_text(left) or _is_text(right)):
                yield from _between(source, left, right, "swap operator", *_OPERATORS[type(operator)])


def _numbers(source: Source, node: ast.AST) -> Iterator[Edit]:
    match node:
        case ast.Constant(value=bool(value)):
            yield Edit("swap True/False", source.start(node), source.end(node), str(not value))
        case ast.Constant(value=int(value)):
            for other in (value + 1, value * 10) if value > 1 else (value + 1,):
                yield Edit("change number", source.start(node), source.end(node), str(other))
        case ast.Constant(value=float(value)):
            for changed in (value * 10, value / 10) if value else (1.0,):
                yield Edit("change number", source.start(node), source.end(node), repr(changed))


def _strings(source: Source, node: ast.AST) -> Iterator[Edit]:
    match node:
        case ast.Constant(value=str(value)) if value and not is_prose(value):
            start, end = source.start(node), source.end(node)
            if _LITERAL.fullmatch(source.text(start, end)):  # one, not several that Python joins
                middle = len(value) // 2
                misspelt = repr(value[:middle] + value[middle : middle + 1] + value[middle:])
                yield Edit("misspell string", start, end, misspelt if '"' in misspelt else misspelt.replace("'", '"'))


def _calls(source: Source, node: ast.AST) -> Iterator[Edit]:
    match node:
        case ast.Call(func=ast.Name(id="min" | "max" as name) as function):
            yield Edit("swap min/max", source.start(function), source.end(function), "max" if name == "min" else "min")
        case ast.Expr(value=ast.Call() | ast.Await(value=ast.Call())):
            yield Edit("delete call", source.start(node), source.end(node), "pass")


def _keywords(source: Source, node: ast.AST) -> Iterator[Edit]:
    if not isinstance(node, ast.Call):
        return
    arguments: list[ast.expr | ast.keyword] = sorted([*node.args, *node.keywords], key=source.start)
    for before, argument in zip([None, *arguments], arguments, strict=False):
        if not isinstance(argument, ast.keyword) or argument.arg is None or is_left_out(argument, node):
            continue
        start, end = source.start(argument), source.end(argument)
        comma = re.match(r"\s*,[ \t]*", source.text(end, source.end(node)))
        if comma:
            end += comma.end()
        elif before is not None:
            start = source.end(before)
        yield Edit("drop keyword", start, end, "")


def _statements(source: Source, node: ast.AST) -> Iterator[Edit]:
    match node:
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant) or value.value is not None:
            yield Edit("return None", source.start(value), source.end(value), "None")
        case ast.Break():
            yield Edit("swap break/continue", source.start(node), source.end(node), "continue")
        case ast.Continue():
            yield Edit("swap break/continue", source.start(node), source.end(node), "break")


def _blocks(source: Source, node: ast.AST) -> Iterator[Edit]:
    match node:
        case ast.ExceptHandler(body=body):
            ignores = all(isinstance(part, ast.Pass | ast.Continue | ast.Break) for part in body)
            yield Edit("skip handler", source.start(body[0]), source.end(body[-1]), "raise" if ignores else "pass")
        case ast.Try(finalbody=[first, *_] as body):
            yield Edit("skip finally", source.start(first), source.end(body[-1]), "pass")


def _between(source: Source, left: ast.expr, right: ast.expr, kind: str, old: str, new: str) -> Iterator[Edit]:
    begin = source.end(left)
    found = re.search(old, source.text(begin, source.start(right)))
    if found:
        yield Edit(kind, begin + found.start(), begin + found.end(), new)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))

"""What gets no fault, because tests cannot or should not notice it.

Declarations for the type checker (annotations, `TYPE_CHECKING`, `Literal`, `TypeVar`, decorators and bases of classes,
`__slots__`, `__all__`), docstrings, assertions, f-strings (their parts have no exact positions before Python 3.12),
bytes, prose of three or more words, the fields of a log line, the names of tasks, and `strict=`. A log line's event can
be misspelt and the whole line can be deleted, because operators rely on them.
"""

from __future__ import annotations

import ast
from typing import Final

_DECLARATIONS: Final = {"TypeVar", "ParamSpec", "NewType", "cast", "TypeAliasType", "NamedTuple", "TypedDict"}
_LOGGERS: Final = {"log", "_log", "logger", "_logger"}
_TASKS: Final = {"create_task", "spawn"}


def is_left_out(node: ast.AST, parent: ast.AST) -> bool:
    """Tell whether a node and everything in it gets no fault."""
    return _is_declaration(node) or _is_left_out_in(parent, node)


def is_prose(value: str) -> bool:
    """Tell whether a text is for people."""
    return len(value.split()) >= 3


def _is_declaration(node: ast.AST) -> bool:
    match node:
        case (
            ast.Assert()
            | ast.JoinedStr()
            | ast.Expr(value=ast.Constant())  # a docstring
            | ast.Assign(targets=[ast.Name(id="__slots__" | "__all__")])
            | ast.If(test=ast.Name(id="TYPE_CHECKING"))
            | ast.Subscript(value=ast.Name(id="Literal"))
        ):
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in _DECLARATIONS
    return False


def _is_left_out_in(parent: ast.AST, node: ast.AST) -> bool:
    match parent:
        case ast.AnnAssign():
            return node is parent.annotation
        case ast.ClassDef():
            return node not in parent.body
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name))) if name in _LOGGERS:
            return node in parent.keywords or node in parent.args[1:]
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if isinstance(node, ast.keyword):
            return node.arg == "strict" or (node.arg == "name" and name in _TASKS)
    return False

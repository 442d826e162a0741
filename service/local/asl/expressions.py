"""JSONata templates: JSON values with `{% ... %}` strings, as Step Functions evaluates them.

Source: AWS Step Functions Developer Guide, "Transforming data with JSONata in Step Functions".
"""

from __future__ import annotations

import hashlib
import random
import re
import uuid
from functools import lru_cache
from typing import TYPE_CHECKING

from jsonata import Functions, JException, Jsonata, Parser, Utils

from service.local.asl.scope import EvaluationError
from service.local.json_text import Json, loads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_UNDEFINED = None  # how the library represents JSONata's undefined; JSON's null is an object of its own


class UnsupportedExpressionError(ValueError):
    """An expression does not compile or uses what Step Functions does not have."""


class Template:
    """A JSON value in which strings of the form `{% expression %}` are replaced by their values."""

    def __init__(self, source: Json) -> None:
        """Compile every expression, once; UnsupportedExpressionError for the first that cannot be."""
        self.source = source
        self.variables: frozenset[str] = frozenset()
        """Variables that the expressions use and do not bind themselves, such as `states`."""
        self._evaluate = self._compile(source)

    def evaluate(self, bindings: Mapping[str, Json]) -> Json:
        """Evaluate every expression; EvaluationError if one fails or is undefined."""
        return self._evaluate(bindings)

    def _compile(self, source: Json) -> Callable[[Mapping[str, Json]], Json]:
        match source:
            case str() if source.startswith("{%") or source.endswith("%}"):
                if not (source.startswith("{%") and source.endswith("%}") and len(source) >= 4):
                    raise UnsupportedExpressionError("{% ... %} must span the whole string")
                expression = compile_expression(source[2:-2].strip())
                self.variables |= expression.variables
                return expression.evaluate
            case dict():
                members = {name: self._compile(value) for name, value in source.items()}
                return lambda bindings: {name: evaluate(bindings) for name, evaluate in members.items()}
            case list():
                items = [self._compile(value) for value in source]
                return lambda bindings: [evaluate(bindings) for evaluate in items]
            case _:
                return lambda _: source


class Expression:
    """One compiled JSONata expression."""

    def __init__(self, text: str) -> None:
        """Compile; UnsupportedExpressionError for a syntax error or a function that Step Functions does not have."""
        try:
            self._compiled = Jsonata(text)
        except JException as error:
            raise UnsupportedExpressionError(f"not a valid JSONata expression: {error}") from error
        self._compiled.set_validate_input(validate_input=False)
        self._compiled.set_output_convert_nulls(output_convert_nulls=False)
        for name, function in _FUNCTIONS.items():
            self._compiled.register_lambda(name, function)
        self.variables = frozenset(_free_variables(self._compiled.ast)) - _KNOWN
        if "eval" in self.variables:
            raise UnsupportedExpressionError("$eval does not exist in Step Functions; use $parse for JSON text")

    def evaluate(self, bindings: Mapping[str, Json]) -> Json:
        """Return the value; EvaluationError if the expression fails or is undefined."""
        # $now and $millis read the clock of the current instance, by default the newest one of the thread.
        Jsonata.CURRENT.jsonata = self._compiled
        try:
            result = self._compiled.evaluate(None, {name: _bound(value) for name, value in bindings.items()})
            if result is not _UNDEFINED:
                return _plain(result)
        except Exception as error:  # the library lets Python's own errors through for unexpected operands
            raise EvaluationError(str(error)) from error
        raise EvaluationError("the expression is undefined")


@lru_cache(maxsize=1024)
def compile_expression(text: str) -> Expression:
    """Compile each text once; UnsupportedExpressionError as from Expression."""
    return Expression(text)


def _bound(value: Json) -> Json:
    """Return a variable's value for the library, which takes None for undefined at the top."""
    return Utils.NULL_VALUE if value is None else value


def _plain(value: Json) -> Json:
    """Convert the library's nulls and sequences to JSON."""
    if value is None or isinstance(value, str | int | float):
        return value
    if value is Utils.NULL_VALUE:
        return None
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    if isinstance(value, list | range):
        return [_plain(item) for item in value]
    raise EvaluationError("the value of the expression is a function, which is not JSON")


def _free_variables(node: object, bound: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the variables that a syntax tree uses and does not bind itself."""
    if isinstance(node, list | tuple):
        # The statements of a block see each other's variables.
        bound |= {item.lhs.value for item in node if isinstance(item, Parser.Symbol) and item.type == "bind"}
        # `@$v` and `#$i` bind variables for all later steps of a path.
        bound |= {
            name for item in node for name in (getattr(item, "focus", None), getattr(item, "index", None)) if name
        }
        for item in node:
            yield from _free_variables(item, bound)
    elif isinstance(node, Parser.Symbol):
        if node.type == "variable":
            if node.value and node.value not in bound:
                yield node.value
            children = {"predicate": getattr(node, "predicate", None), "stages": getattr(node, "stages", None)}
        else:
            children = vars(node)
        if node.type == "lambda":
            bound |= {argument.value for argument in node.arguments}
        for child in children.values():
            yield from _free_variables(child, bound)


class _StringEncoder(Functions.Encoder):  # type: ignore[misc]  # the library has no types
    """JSON text as JavaScript writes it: of the characters beyond ASCII, only unpaired surrogates are escaped.

    A workflow may compare the length of such a text with AppSync's limit.
    """

    def __init__(self, **options: Json) -> None:
        super().__init__(**{**options, "ensure_ascii": False})

    def encode(self, o: Json) -> str:
        return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", super().encode(o))


_SURROGATE = re.compile("[\ud800-\udfff]")

# The class that $string and & use.
Functions.Encoder = _StringEncoder


# The functions that Step Functions adds to JSONata; same guide, "JSONata functions provided by Step Functions".


def _parse(text: str | None = None) -> Json:
    if text is None:
        return _UNDEFINED
    if not isinstance(text, str):
        raise EvaluationError("$parse needs a string")
    value = loads(text)
    return Utils.NULL_VALUE if value is None else value


def _partition(array: list[Json], size: int) -> list[list[Json]]:
    return [array[start : start + size] for start in range(0, len(array), size)]


def _range(first: int, last: int, step: int) -> list[int]:
    return list(range(first, last + (1 if step > 0 else -1), step))


def _hash(content: str, algorithm: str) -> str:
    if algorithm not in {"MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512"}:
        raise EvaluationError("the algorithm of $hash must be MD5, SHA-1, SHA-256, SHA-384 or SHA-512")
    return hashlib.new(algorithm.replace("-", ""), content.encode(), usedforsecurity=False).hexdigest()


def _random(seed: float | None = None) -> float:
    return random.Random(seed).random()  # noqa: S311 - $random is not for secrets


_FUNCTIONS: dict[str, Callable[..., Json]] = {
    "parse": _parse,
    "partition": _partition,
    "range": _range,
    "hash": _hash,
    "random": _random,
    "uuid": lambda: str(uuid.uuid4()),
}
_KNOWN = (frozenset(Jsonata.static_frame.bindings) | frozenset(_FUNCTIONS)) - {"eval"}

"""Validation of request bodies and results against a JSON Schema."""

from __future__ import annotations

import math
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jsonschema_rs
import orjson

from service.errors import MalformedJson, SchemaViolation, Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_VIOLATIONS: Final = 20
"""Violations reported per body or result: thousands of invalid items must not produce a huge response or log line."""

MAX_CHECKS: Final = 5_000
"""Checks that may fail before a body gets no list of violations: jsonschema-rs makes an error for each, in about 10 us,
and those inside `anyOf` grow exponentially with the nesting of a body if the schema is recursive."""

_LISTS_ERRORS: Final = ("anyOf", "oneOf", "propertyNames")
"""Keywords that make even the first error expensive, because it lists those of its branches or members."""

_GENERIC: Final = {
    "additionalProperties": "Additional members are not allowed.",
    "unevaluatedProperties": "Additional members are not allowed.",
    "propertyNames": "The name of a member is not allowed.",
}
"""Sentences for keywords whose own message repeats names of the caller's members."""


class JsonSchema:
    """A compiled JSON Schema of any draft; draft 2020-12 without a `$schema`.

    Patterns must do without lookaround and backreferences, as JSON Schema recommends ("Regular Expressions", draft
    2020-12, 6.4): without them, a match takes linear time, whatever a caller sends.
    """

    document: dict[str, Any] | bool
    """The schema itself."""

    def __init__(self, schema: dict[str, Any] | bool) -> None:
        self.document = schema
        # Values are masked, because an error must never repeat what a caller sent. Offline, so that a `$ref` to a URL
        # is rejected when the service starts instead of being fetched.
        self._validator = jsonschema_rs.validator_for(
            schema, mask="the value", offline=True, pattern_options=jsonschema_rs.RegexOptions()
        )
        self._checks = _Checks(schema).of(schema)
        text = orjson.dumps(schema).decode()
        # In a recursive schema, all that is valid before the first error is checked again at each level of a body.
        self._first_is_cheap = math.isfinite(self._checks) and not any(f'"{word}"' in text for word in _LISTS_ERRORS)

    @classmethod
    def load(cls, path: str | Path) -> JsonSchema:
        """Compile the schema in the file at `path`; an empty path accepts any JSON object. Raise ValueError."""
        if not path:
            return cls({"type": "object"})
        try:
            return cls.compile(orjson.loads(Path(path).read_bytes()))
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}") from error
        except orjson.JSONDecodeError as error:
            raise ValueError(f"is not JSON: {error}") from error

    @classmethod
    def compile(cls, schema: dict[str, Any] | bool) -> JsonSchema:
        """Compile a schema; raise ValueError."""
        try:
            return cls(schema)
        except ValueError as error:
            raise ValueError(f"is not a JSON Schema: {str(error).splitlines()[0]}") from error

    def accepts(self, body: Any) -> bool:
        """Return whether a JSON value is valid."""
        return bool(self._validator.is_valid(body))

    def check(self, body: Any) -> None:
        """Validate a JSON value; raise SchemaViolation, or MalformedJson if it is nested too deeply.

        All violations are reported where that is certain to be cheap, otherwise the first one or only that there is
        one. Whether the body is valid is cheap to find out in any case.
        """
        try:
            if self._validator.is_valid(body):
                return
            violations = self._violations(body)
        except ValueError as error:  # the library's limit is 255 levels
            raise MalformedJson("The body is nested too deeply.") from error
        raise SchemaViolation(violations)

    def broken_rules(self, text: bytes) -> list[str]:
        """Return JSON pointers into the schema, to rules that JSON text breaks; none if it is valid.

        They contain nothing of the text. Text that cannot be checked breaks the whole schema: it is nested too deeply,
        or has half of a surrogate pair or a number that is too large. The cost is bounded as that of `check` is.
        """
        try:
            value = orjson.loads(text)
            if self._validator.is_valid(value):
                return []
            return [*dict.fromkeys(_pointer(error.schema_path) for error in self._errors(value))] or [""]
        except ValueError:
            return [""]

    def _violations(self, body: Any) -> list[Violation]:
        found = [_violation(error) for error in self._errors(body)]
        return found or [Violation("", "The body does not match the schema.")]

    def _errors(self, value: Any) -> list[jsonschema_rs.ValidationError]:
        """Return what is wrong with an invalid value, as far as that is cheap to find out."""
        if _has_at_most(MAX_CHECKS / self._checks, value):
            return list(islice(self._validator.iter_errors(value), MAX_VIOLATIONS))
        if self._first_is_cheap:
            try:
                self._validator.validate(value)
            except jsonschema_rs.ValidationError as error:
                return [error]
        return []


class _Checks:
    """Counts how many checks one value in a body may be subject to, at most; infinity if a schema is recursive."""

    def __init__(self, root: dict[str, Any] | bool) -> None:
        self._root = root
        self._counts: dict[str, float] = {}

    def of(self, schema: Any) -> float:
        """Return the number for a part of the schema."""
        if isinstance(schema, list):
            return sum(map(self.of, schema))
        if not isinstance(schema, dict):
            return 1
        count = 1.0
        for keyword, value in schema.items():
            if keyword == "properties" and isinstance(value, dict):
                count += max(map(self.of, value.values()), default=0)  # a member has one name
            elif keyword.endswith(("Ref", "$ref")) and isinstance(value, str):
                count += self._of_reference(value) if keyword == "$ref" else math.inf
            elif keyword == "propertyNames":
                count += 50 * self.of(value)  # the error for each name holds a copy of the whole object
            elif keyword not in {"$defs", "definitions"}:
                count += self.of(value)
        return count

    def _of_reference(self, reference: str) -> float:
        if reference not in self._counts:
            self._counts[reference] = math.inf  # if it leads to itself
            target: Any = self._root
            for part in reference.removeprefix("#").split("/")[1:]:
                target = target.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(target, dict) else None
            known = target is not None and reference.startswith("#") and reference[1:2] in {"", "/"}
            self._counts[reference] = self.of(target) if known else math.inf
        return self._counts[reference]


def _has_at_most(limit: float, body: Any) -> bool:
    """Return whether a JSON value consists of at most `limit` values, members and items included."""
    count, rest = 0, [body]
    while rest and count <= limit:
        value = rest.pop()
        count += 1
        if isinstance(value, dict | list):
            rest.extend(islice(value.values() if isinstance(value, dict) else value, max(0, int(limit)) + 1))
    return count <= limit


def _violation(error: jsonschema_rs.ValidationError) -> Violation:
    detail = _GENERIC.get(error.kind.name, error.message)
    return Violation(_pointer(error.instance_path), detail[:200])


def _pointer(path: Sequence[str | int]) -> str:
    """Write a path as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)

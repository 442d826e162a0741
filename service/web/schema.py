"""Validation of request bodies against a JSON Schema."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jsonschema_rs
import orjson

from service.errors import MalformedJson, SchemaViolation, Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_VIOLATIONS: Final = 20
"""Violations reported per body: thousands of invalid items must not produce a huge response."""


class RequestSchema:
    """A compiled JSON Schema of any draft; draft 2020-12 without a `$schema`."""

    document: dict[str, Any] | bool
    """The schema itself."""

    def __init__(self, schema: dict[str, Any] | bool) -> None:
        self.document = schema
        # Values are masked, because an error must never repeat what a caller sent. Offline, so that a `$ref` to a URL
        # is rejected when the service starts instead of being fetched.
        self._validator = jsonschema_rs.validator_for(schema, mask="the value", offline=True)

    @classmethod
    def load(cls, path: str | Path) -> RequestSchema:
        """Compile the schema in the file at `path`; an empty path accepts any JSON object. Raise ValueError."""
        if not path:
            return cls({"type": "object"})
        try:
            return cls(orjson.loads(Path(path).read_bytes()))
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}") from error
        except orjson.JSONDecodeError as error:
            raise ValueError(f"is not JSON: {error}") from error
        except ValueError as error:
            raise ValueError(f"is not a JSON Schema: {str(error).splitlines()[0]}") from error

    def accepts(self, body: Any) -> bool:
        """Return whether a JSON value is valid."""
        return bool(self._validator.is_valid(body))

    def check(self, body: Any) -> None:
        """Validate a JSON value; raise SchemaViolation, or MalformedJson if it is nested too deeply."""
        try:
            if self._validator.is_valid(body):
                return
            faults = list(islice(self._validator.iter_errors(body), MAX_VIOLATIONS))
        except ValueError as error:  # the library's limit is 255 levels
            raise MalformedJson("The body is nested too deeply.") from error
        raise SchemaViolation([Violation(_pointer(fault.instance_path), fault.message[:200]) for fault in faults])


def _pointer(path: Sequence[str | int]) -> str:
    """Write a path as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)

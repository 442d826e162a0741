"""The check of results against the schema of their workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.web.schema import JsonSchema


class ResultCheck:
    """Checks outputs, each once in a row: hundreds of requests may share an execution, and get its output at once."""

    def __init__(self, schema: JsonSchema | None) -> None:
        self._schema = schema
        self._output: bytes | None = None
        self._broken: list[str] = []

    def __call__(self, output: bytes) -> list[str]:
        """Return pointers to the rules of the schema that an output breaks; none if it is valid or has no schema."""
        if self._schema is None:
            return []
        if output is not self._output:
            self._broken = self._schema.broken_rules(output)
            self._output = output
        return self._broken

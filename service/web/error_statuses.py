"""The HTTP statuses that a workflow's settings give to its errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class ErrorStatuses:
    """Statuses by the names of errors; a name that ends with `*` is a prefix.

    An exact name counts before a prefix, and a longer prefix before a shorter one.
    """

    def __init__(self, statuses: Mapping[str, int]) -> None:
        self.statuses = statuses
        prefixes = [name.removesuffix("*") for name in statuses if name.endswith("*")]
        self._prefixes = sorted(prefixes, key=len, reverse=True)

    def of(self, error: str) -> int | None:
        """Return the status of an error; None if it has none of its own."""
        status = self.statuses.get(error)
        if status is not None and not error.endswith("*"):
            return status
        prefix = next(filter(error.startswith, self._prefixes), None)
        return None if prefix is None else self.statuses[f"{prefix}*"]

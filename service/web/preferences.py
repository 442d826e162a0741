"""The `Prefer` header (RFC 7240): how long a caller wants to wait."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

# A comma inside a quoted string separates nothing.
_ITEM: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')


@dataclass(frozen=True, slots=True)
class Preferences:
    """What was asked for: `wait` in seconds or None, and whether to answer without waiting."""

    wait: int | None = None
    respond_async: bool = False

    def seconds(self, limit: float) -> float:
        """Return how long to wait: what was asked for, up to `limit` seconds; `limit` if nothing was asked for.

        Both together mean: answer with the result within `wait` seconds, and with 202 after them (RFC 7240, 4.3).
        """
        if self.wait is not None:
            return min(self.wait, limit)
        return 0 if self.respond_async else limit

    def applied(self, limit: float, *, waited: bool = True) -> str | None:
        """Return the value of `Preference-Applied`, or None if nothing was asked for, or done of it."""
        honoured = ["respond-async"] if self.respond_async else []
        if self.wait is not None and waited:
            honoured.append(f"wait={self.seconds(limit):g}")
        return ", ".join(honoured) or None


def parse(headers: Iterable[str]) -> Preferences:
    """Read all `Prefer` headers of a request; as the RFC asks, what is unknown or malformed is left aside."""
    found: dict[str, str] = {}
    for header in headers:
        for item in _ITEM.findall(header):
            name, _, value = item.partition(";")[0].partition("=")
            found.setdefault(name.strip().lower(), value.strip().strip('"'))  # the first of a kind counts
    wait = found.get("wait", "")
    return Preferences(
        wait=int(wait) if wait.isascii() and wait.isdigit() and len(wait) < 10 else None,
        respond_async="respond-async" in found,
    )

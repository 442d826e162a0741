"""Private data of the tests (names, keys), which no log, metric or problem may contain."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Names of people in the tests, API keys, and the secret for deriving execution ids.
_PRIVATE = re.compile(r"Ricardo|Marques|\bda2-\w|a secret of the test")


def leaks(text: str) -> list[str]:
    """Return the private data in `text`, each with some context."""
    return [text[max(0, match.start() - 60) : match.end() + 20] for match in _PRIVATE.finditer(text)]


def assert_nothing_private(lines: Iterable[str]) -> None:
    """Fail if these lines contain private data."""
    assert [found for line in lines for found in leaks(line)] == []

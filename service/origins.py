"""Web origins (RFC 6454), as a browser sends them in `Origin`."""

from __future__ import annotations

import re
from typing import Final

ANY: Final = "*"
"""All of them."""

_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?")


def parse(text: object) -> frozenset[str]:
    """Read origins separated by commas, or `*` alone; raise ValueError for what no browser would ever send."""
    if isinstance(text, frozenset):
        return text
    origins = frozenset(part.strip() for part in text.split(",")) if isinstance(text, str) else frozenset({""})
    if origins != {ANY} and not all(_ORIGIN.fullmatch(origin) for origin in origins):
        raise ValueError("must be * or look like https://app.example, https://other.example:8443")
    return origins

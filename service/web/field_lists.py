"""Lists in header fields (RFC 9110, 5.6.1)."""

from __future__ import annotations

import re
from typing import Final

# A separator inside a quoted string does not count. Possessive, so that no input makes the search go back.
_PARTS: Final = {separator: re.compile(rf'(?:[^{separator}"]++|"(?:[^"\\]++|\\.)*+"?)++') for separator in (",", ";")}


def split(text: str, separator: str) -> list[str]:
    """Return the parts of `text` between commas or semicolons, without empty ones and without blanks around them."""
    return [part.strip(" \t") for part in _PARTS[separator].findall(text)]

"""The page that shows the description to people: one file of its own, which loads nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Final

PAGE: Final = (Path(__file__).parent / "assets" / "docs.html").read_bytes()


def _hash(element: bytes) -> str:
    match = re.search(rb"<%b>(.*?)</%b>" % (element, element), PAGE, re.DOTALL)
    if match is None:
        raise ValueError("the page has lost a part of itself")
    return base64.b64encode(hashlib.sha256(match[1]).digest()).decode()


POLICY: Final = (
    f"default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    f"frame-ancestors 'none'; script-src 'sha256-{_hash(b'script')}'; style-src 'sha256-{_hash(b'style')}'"
)
"""The Content-Security-Policy under which the page runs: its own script and style, and the description."""

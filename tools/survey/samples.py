"""Sample data for a definition: one document in which it finds whatever it reads, wherever the document is put.

A state may put a result anywhere into its input, so the document has every path and every ending of a path.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from service.local.json_text import Json
    from tools.survey.reads import Read

TEXT = "a:b:c:d:e:f:g:h/i/j/k/l.m.n.o"
"""Text that has several parts, whatever separates them."""

_KINDS: dict[str, Json] = {
    "number": 1,
    "boolean": True,
    "timestamp": "2024-01-01T00:00:00Z",
    "object": {},
}
_MAX_BYTES = 60_000  # of a document; states may have four times as much


class Style(NamedTuple):
    """How to decide what the paths of a definition leave open."""

    lists: bool
    """A place that is read both as a list and as an object is a list."""
    objects: bool
    """A place of which nothing is known is an object with everything in it, instead of text."""
    ended: bool = False
    """Places whose presence is tested are missing, as on the last page of a listing."""


class Place:
    """One place of the document: its members, its items, or what is wanted there."""

    def __init__(self) -> None:
        self.members: dict[str, Place] = {}
        self.item: Place | None = None
        self.wants: list[str] = []
        self.constants: list[Json] = []

    def add(self, read: Read, steps: tuple[str | int, ...]) -> None:
        """Add a place that is read, that many steps from here."""
        if not steps:
            if read.want == "list":
                self.item = self.item or Place()
            self.wants.append(read.want)
            self.constants += [value for value in read.constants if value not in self.constants]
        elif isinstance(steps[0], int):
            self.item = self.item or Place()
            self.item.add(read, steps[1:])
        else:
            self.members.setdefault(steps[0], Place()).add(read, steps[1:])

    def sample(self, style: Style, variant: int, root: Json) -> Json:
        """Return a value; variants differ in which of the constants they have. `root` is the document without depth."""
        if self.item is not None and (style.lists or not self.members):
            inner = self.item.sample(style, variant, root)
            if isinstance(inner, dict) and isinstance(root, dict):
                return [root | inner]
            return [inner if self.item.wants or self.item.item else root]
        if self.members:
            return {
                name: place.sample(style, variant, root)
                for name, place in self.members.items()
                if not (style.ended and "presence" in place.wants)
            }
        if self.constants:
            return self.constants[variant % len(self.constants)]
        if "json" in self.wants:
            return json.dumps(root)
        known = next((_KINDS[want] for want in self.wants if want in _KINDS), None)
        return known if known is not None else root if style.objects and root else TEXT


def document(found: Iterable[Read], style: Style, variant: int) -> Json:
    """Return the document for what a definition reads."""
    places = Place()
    for read in found:
        for start in range(len(read.steps)):
            if not isinstance(read.steps[start], int):
                places.add(read, read.steps[start:])
    if not places.members:
        return {}
    complete: Json = {}
    for _ in range(3):
        deeper = places.sample(style, variant, complete)
        if len(json.dumps(deeper)) > _MAX_BYTES:
            break
        complete = deeper
    return complete if isinstance(complete, dict) else {}

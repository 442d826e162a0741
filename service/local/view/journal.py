"""A journal of recent events: a bounded list of entries that viewers follow.

An entry costs one append to a list that drops its oldest; it is turned into text only for a viewer. Viewers keep a
position in this list instead of a queue of their own, so a slow one costs no memory.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Final

from service.local.json_text import Json, dumps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from service.local.execution import Execution

_MAX_ENTRIES: Final = 2000
_MAX_TEXT_CHARS: Final = 1000


class Journal:
    """The newest entries, numbered from 1.

    Each has `kind` (`request`, `execution`, `state` or `frame`) and `at`, in epoch seconds. An entry about a request
    or an execution has everything known about it, so that the newest one is enough.
    """

    def __init__(self, max_entries: int = _MAX_ENTRIES) -> None:
        self._entries: deque[dict[str, Json]] = deque(maxlen=max_entries)
        self._followers: set[asyncio.Event] = set()
        self.last_number = 0
        """The number of the newest entry."""

    def entries_after(self, number: int) -> tuple[list[dict[str, Json]], int]:
        """Return the entries after this number, and how many of them have already been dropped."""
        forgotten = self.last_number - len(self._entries)
        entries = list(islice(self._entries, max(number - forgotten, 0), None))
        return entries, max(forgotten - number, 0)

    @contextmanager
    def follow(self) -> Iterator[asyncio.Event]:
        """Yield an event that is set at each new entry; the follower clears it."""
        changed = asyncio.Event()
        self._followers.add(changed)
        try:
            yield changed
        finally:
            self._followers.discard(changed)

    def notify(self) -> None:
        """Wake every follower."""
        for changed in self._followers:
            changed.set()

    def request(self, number: int, method: str, path: str, started: float, **end: Json) -> None:
        """Add a request at its start, and again at its end with `ended` and `status` (None if the caller left)."""
        self._add("request", number=number, method=method, path=_shorten(path), started=started, **end)

    def execution(self, execution: Execution) -> None:
        """Add the start or the end of an execution."""
        self._add(
            "execution",
            name=execution.name,
            status=execution.status,
            started=execution.start_date,
            ended=execution.stop_date,
            input=_shorten(execution.input),
            output=_shorten(execution.output),
            error=_shorten(execution.error),
            cause=_shorten(execution.cause),
        )

    def state(self, context: Mapping[str, Json], state: str) -> None:
        """Add a state that an execution, given by its context object, has entered."""
        self._add("state", execution=context["Execution"]["Name"], state=state)

    def opened(self, connection: int) -> None:
        """Add a new WebSocket."""
        self._add("frame", connection=connection, direction="opened", text="")

    def received(self, connection: int, frame: Mapping[str, Json]) -> None:
        """Add a frame from a client; an empty one stands for anything but a JSON object.

        Clients may sign with credentials of the real AWS, so the authorisation is left out.
        """
        shown = {name: "..." if name == "authorization" else value for name, value in frame.items()}
        text = dumps(shown) if shown else "(not a JSON object)"
        self._add("frame", connection=connection, direction="received", text=_shorten(text))

    def sent(self, connection: int, text: str) -> None:
        """Add a frame to a client."""
        self._add("frame", connection=connection, direction="sent", text=_shorten(text))

    def closed(self, connection: int, code: int | None) -> None:
        """Add the end of a WebSocket with its close code; None if the connection was dropped."""
        self._add("frame", connection=connection, direction="closed", text="dropped" if code is None else str(code))

    def _add(self, kind: str, **fields: Json) -> None:
        self._entries.append({"kind": kind, "at": time.time(), **fields})
        self.last_number += 1
        self.notify()


def _shorten(text: str | None) -> str | None:
    return text if text is None or len(text) <= _MAX_TEXT_CHARS else text[:_MAX_TEXT_CHARS] + "\u2026"

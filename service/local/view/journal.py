"""What happened lately: a bounded list of entries, and a bell for each viewer that follows it.

An entry costs one append to a list that forgets its oldest; text is made of it only for a viewer. Viewers keep a
place in this list and no queue of their own, so a slow one costs nothing but its place.
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

    from service.local.executions import Execution

_KEPT: Final = 2000  # entries
_TEXT: Final = 1000  # characters of one text


class Journal:
    """The newest entries, numbered from 1 on.

    Each has `kind` (`request`, `execution`, `state` or `frame`) and `at`, in epoch seconds. An entry about a request
    or an execution tells all that is known of it, so that the newest one is enough.
    """

    def __init__(self, keep: int = _KEPT) -> None:
        self._entries: deque[dict[str, Json]] = deque(maxlen=keep)
        self._bells: set[asyncio.Event] = set()
        self.last = 0
        """The number of the newest entry."""

    def since(self, number: int) -> tuple[list[dict[str, Json]], int]:
        """Give the entries after this number, and how many more there were that are forgotten."""
        forgotten = self.last - len(self._entries)
        entries = list(islice(self._entries, max(number - forgotten, 0), None))
        return entries, max(forgotten - number, 0)

    @contextmanager
    def following(self) -> Iterator[asyncio.Event]:
        """Lend a bell that rings at each new entry; who follows clears it."""
        bell = asyncio.Event()
        self._bells.add(bell)
        try:
            yield bell
        finally:
            self._bells.discard(bell)

    def ring(self) -> None:
        """Wake all who follow."""
        for bell in self._bells:
            bell.set()

    def request(self, number: int, method: str, path: str, began: float, **end: Json) -> None:
        """Tell of a request to the service; `end` has `ended` and `status` (None: the caller left) once it is over."""
        self._add("request", number=number, method=method, path=_cut(path), began=began, **end)

    def execution(self, execution: Execution) -> None:
        """Tell that an execution started or ended."""
        self._add(
            "execution",
            name=execution.name,
            status=execution.status,
            began=execution.start_date,
            ended=execution.stop_date,
            input=_cut(execution.input),
            output=_cut(execution.output),
            error=_cut(execution.error),
            cause=_cut(execution.cause),
        )

    def state(self, context: Mapping[str, Json], state: str) -> None:
        """Tell that an execution, given by its context object, entered a state."""
        self._add("state", execution=context["Execution"]["Name"], state=state)

    def opened(self, connection: int) -> None:
        """Tell of a new WebSocket."""
        self._add("frame", connection=connection, direction="opened", text="")

    def received(self, connection: int, frame: Mapping[str, Json]) -> None:
        """Tell of a frame from a client; an empty one stands for what is no JSON object.

        Clients may sign with credentials of the real AWS, so what authorises a frame is left out.
        """
        shown = {name: "..." if name == "authorization" else value for name, value in frame.items()}
        text = dumps(shown) if shown else "(not a JSON object)"
        self._add("frame", connection=connection, direction="received", text=_cut(text))

    def sent(self, connection: int, text: str) -> None:
        """Tell of a frame to a client."""
        self._add("frame", connection=connection, direction="sent", text=_cut(text))

    def closed(self, connection: int, code: int | None) -> None:
        """Tell of the end of a WebSocket and its close code; without one it was cut."""
        self._add("frame", connection=connection, direction="closed", text="cut" if code is None else str(code))

    def _add(self, kind: str, **what: Json) -> None:
        self._entries.append({"kind": kind, "at": time.time(), **what})
        self.last += 1
        self.ring()


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= _TEXT else text[:_TEXT] + "\u2026"

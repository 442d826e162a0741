"""Host names that only this process knows, and whose lookups can hang."""

from __future__ import annotations

import itertools
import socket
import threading
from typing import Any, Final

from service.stepfunctions import dns

_LOOK_UP: Final = socket.getaddrinfo
_NUMBERS: Final = itertools.count(1)
_answering: Final[dict[str, threading.Event]] = {}


class Name:
    """A name for 127.0.0.1."""

    def __init__(self) -> None:
        self.host = f"host-{next(_NUMBERS)}.test"
        """The name."""
        _answering[self.host] = threading.Event()
        self.answer()

    def hang(self) -> None:
        """Let every lookup hang."""
        _answering[self.host].clear()

    def answer(self) -> None:
        """Answer the lookups that hang, and all later ones."""
        _answering[self.host].set()

    def close(self) -> None:
        """Forget the name."""
        self.answer()
        del _answering[self.host]


def _look_up(host: Any, *arguments: Any, **options: Any) -> Any:
    event = _answering.get(host)
    if event is None or options.get("flags", 0) & socket.AI_NUMERICHOST:
        return _LOOK_UP(host, *arguments, **options)
    event.wait(60)
    return _LOOK_UP("127.0.0.1", *arguments, **options)


vars(socket)["getaddrinfo"] = _look_up
vars(dns)["CACHE_S"] = 0.2  # runs are short

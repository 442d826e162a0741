"""Standard output and standard error that never raise and never block, whatever they lead to.

A log line must not cost a response when the reader of the log has gone, its disk is full, or it does not read.
"""

from __future__ import annotations

import atexit
import io
import os
import select
import sys
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

log = structlog.get_logger(__name__)

MAX_QUEUED_LINES: Final = 5000
"""Lines that wait for a reader; at 300 bytes each, 1.5 MB."""

FLUSH_TIMEOUT_S: Final = 1.0
"""Seconds that the last lines may take when the process ends."""

STANDARD_DESCRIPTORS: Final = {"stdout": 1, "stderr": 2}


class Output(io.RawIOBase):
    """A file whose lines are written by a thread; those that cannot be written are counted.

    It takes lines as long as fewer than `max_lines` are waiting, and drops further ones. A line that failed is not
    repeated, but the next one is tried: a disk may have room again.
    """

    def __init__(self, name: str, descriptor: int, max_lines: int = MAX_QUEUED_LINES) -> None:
        super().__init__()
        self.name = name
        self._descriptor = descriptor
        self._max_lines = max_lines
        # Its `put` may interrupt itself: finalizers and signal handlers write, too.
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._dropped = 0  # counted by those who write
        self._failed = 0  # counted by the thread
        self._reported = 0
        self._torn = False
        self._thread = threading.Thread(target=self._run, daemon=True, name=name)
        self._thread.start()

    @property
    def lost(self) -> int:
        """How many lines were not written."""
        return self._dropped + self._failed

    def writable(self) -> bool:
        """Return that this is a file to write to."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the file."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether the lines are shown on a terminal."""
        return os.isatty(self._descriptor)

    def write(self, data: ReadableBuffer, /) -> int:
        """Queue a line, or drop it."""
        line = bytes(data)
        if self._queue.qsize() < self._max_lines:
            self._queue.put(line)
        else:
            self._dropped += 1
        return len(line)

    def end(self, timeout: float) -> None:
        """Write what is queued, for up to `timeout` seconds; nothing is written after that."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        while (line := self._queue.get()) is not None:
            try:
                self._write(line)
            except OSError as error:
                self._failed += 1
                if self.lost == self._reported + 1:  # on standard error this line is lost, too
                    _warn("output_failed", output=self.name, reason=error.strerror)
            else:
                if self.lost > self._reported and self._queue.empty():
                    self._report()

    def _write(self, line: bytes) -> None:
        """Write a line, which may block; raise OSError if it cannot be written."""
        rest = b"\n" + line if self._torn else line
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # whoever shares this file has made it non-blocking
                self._wait_until_writable()
            else:
                self._torn = bool(rest)

    def _wait_until_writable(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        poll.poll()

    def _report(self) -> None:
        lost = self.lost
        _warn("output_lost", output=self.name, lines=lost - self._reported)
        self._reported = lost


def _warn(event: str, **fields: object) -> None:
    if structlog.is_configured():  # before that, it logs on standard output
        log.warning(event, **fields)


_outputs: Final[dict[str, Output]] = {}


def lost_lines() -> dict[str, int]:
    """Return how many lines of standard output and standard error were not written."""
    return {name: _outputs[name].lost if name in _outputs else 0 for name in STANDARD_DESCRIPTORS}


def protect() -> None:
    """Replace standard output and standard error of this process, for logs, libraries and `print` alike."""
    _reserve_descriptors()
    for name, descriptor in STANDARD_DESCRIPTORS.items():
        output = _outputs[name] = Output(name, descriptor)
        # Standard error's own way with text that has no encoding: it does not raise.
        setattr(sys, name, io.TextIOWrapper(output, "utf-8", "backslashreplace", line_buffering=True))
    atexit.register(_end)


def _reserve_descriptors() -> None:
    """Open the standard descriptors that are closed, or a caller's socket would get their number and the log.

    They are opened for reading, so that lines still count as lost.
    """
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) <= max(STANDARD_DESCRIPTORS.values()):
        pass
    os.close(descriptor)


def _end() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    deadline = time.monotonic() + FLUSH_TIMEOUT_S
    for output in _outputs.values():
        output.end(max(0.0, deadline - time.monotonic()))

"""Files that a process can write to badly or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Final

BROKEN: Final = ("closed", "gone", "unread", *(["full"] if Path("/dev/full").exists() else []))
"""What can be wrong with the output of a process; macOS has no device that is always full."""


@contextmanager
def broken(kind: str) -> Iterator[int | None]:
    """Provide an output for `running`: none, a full disk, or a pipe whose reader has gone or does not read.

    `left` is a pipe whose reader goes after the first line, as `head -n 1` does.
    """
    if kind == "closed":
        yield None
    elif kind == "full":
        with Path("/dev/full").open("wb") as full:
            yield full.fileno()
    elif kind == "left":
        read, write = os.pipe()
        threading.Thread(target=_read_once, args=[read]).start()
        with FileIO(write, "wb"):
            yield write
    else:
        with full_pipe() as (reader, writer):
            if kind == "gone":
                reader.close()
            yield writer


def _read_once(descriptor: int) -> None:
    os.read(descriptor, 4096)
    os.close(descriptor)


@contextmanager
def full_pipe() -> Iterator[tuple[FileIO, int]]:
    """Open a pipe and fill it with empty lines; yield its ends."""
    read, write = os.pipe()
    with FileIO(read) as reader, FileIO(write, "wb"):
        os.set_blocking(write, False)
        with suppress(BlockingIOError):
            while True:
                os.write(write, b"\n" * 4096)
        os.set_blocking(write, True)
        yield reader, write

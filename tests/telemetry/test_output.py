"""Outputs over real pipes: read, not read, and without a reader."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.telemetry.output import Output
from tests.support.outputs import full_pipe

LINES = [b"line %d\n" % number for number in range(100)]
BLOCKED_S = 0.2
"""How long `end` waits for a reader that never comes."""


@pytest.fixture
def pipe() -> Iterator[tuple[FileIO, int]]:
    read, write = os.pipe()
    with FileIO(read) as reader:
        yield reader, write


def write(output: Output, lines: list[bytes]) -> None:
    for line in lines:
        assert output.write(line) == len(line)


def read_lines(reader: FileIO, number: int) -> list[bytes]:
    """Read this number of lines, without empty ones, as they come."""
    found = b""
    while found.strip(b"\n").count(b"\n") < number - 1 or not found.endswith(b"\n"):
        found += os.read(reader.fileno(), 4096)
    return [line + b"\n" for line in found.split(b"\n") if line]


def test_lines_are_written_in_order_and_the_last_ones_at_the_end(pipe: tuple[FileIO, int]) -> None:
    reader, writer = pipe
    output = Output("log", writer)
    write(output, LINES)
    output.end(10)
    os.close(writer)
    assert reader.readall() == b"".join(LINES)
    assert output.lost == 0


def test_a_reader_that_stalls_and_reads_on_misses_only_what_the_queue_could_not_hold() -> None:
    with full_pipe() as (reader, writer), capture_logs() as logs:
        output = Output("log", writer, max_lines=10)
        write(output, LINES)
        held = 100 - output.lost
        assert 10 <= held <= 11  # the thread may have taken one to write
        assert read_lines(reader, held) == LINES[:held]
        write(output, [b"later\n"])
        assert read_lines(reader, 1) == [b"later\n"]
        output.end(10)
    assert [(line["event"], line["lines"]) for line in logs] == [("output_lost", 100 - held)]


def test_a_pipe_that_is_not_read_delays_the_end_only_for_the_given_time() -> None:
    with full_pipe() as (reader, writer):
        output = Output("log", writer)
        write(output, LINES)
        began = time.monotonic()
        output.end(BLOCKED_S)
        assert BLOCKED_S <= time.monotonic() - began < 10
        read_lines(reader, 100)  # lets its thread end
        output.end(10)


def test_without_a_reader_every_line_is_lost_and_the_first_loss_is_logged(pipe: tuple[FileIO, int]) -> None:
    reader, writer = pipe
    reader.close()
    with capture_logs() as logs:
        output = Output("log", writer)
        write(output, LINES)
        output.end(10)
    os.close(writer)
    assert output.lost == 100
    assert [(line["event"], line["reason"]) for line in logs] == [("output_failed", "Broken pipe")]


def test_a_non_blocking_descriptor_loses_nothing() -> None:
    with full_pipe() as (reader, writer):
        os.set_blocking(writer, False)
        output = Output("log", writer)
        long = b"x" * 100_000 + b"\n"  # more than the pipe holds
        write(output, [*LINES, long])
        assert read_lines(reader, 101) == [*LINES, long]
        output.end(10)
        assert output.lost == 0


DISK_WITH_LIMIT = """
import resource
from service.telemetry.output import Output

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

output = Output("log", 2)
limit(12)
for line in (b"complete\\n", b"torn\\n", b"lost\\n"):
    output.write(line)
while output.lost < 2:
    pass
limit(resource.RLIM_INFINITY)
output.write(b"later\\n")
output.end(10)
"""


def test_a_disk_that_has_room_again_gets_the_next_lines_and_none_joins_a_torn_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        subprocess.run(
            [sys.executable, "-c", DISK_WITH_LIMIT], stderr=file, stdout=subprocess.PIPE, timeout=30, check=True
        )
    assert log.read_bytes() == b"complete\ntor\nlater\n"


CLOSED = """
import socket, sys
from service.telemetry import output

output.protect()
with socket.socket() as caller:
    print("for nobody", file=sys.stderr)
    while not output.lost_lines()["stderr"]:
        pass
    print(caller.fileno() > 2, output.lost_lines()["stdout"], end="")
"""


def test_no_socket_gets_the_number_of_a_closed_output() -> None:
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", CLOSED]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=30, check=True)
    assert done.stdout == b"True 0"

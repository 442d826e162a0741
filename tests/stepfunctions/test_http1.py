"""The HTTP/1.1 connection: however a response is cut into pieces, it is the same, or none."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.stepfunctions.http1 import (
    MAX_HEAD_BYTES,
    MAX_RESPONSE_BYTES,
    Connection,
    ConnectionClosedError,
    MalformedResponseError,
)

Result: TypeAlias = tuple[int, bytes] | Exception | str


class Transport(asyncio.Transport):
    """Notes what is done with it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.aborted = False

    def write(self, data: Any) -> None:
        self.written.append(data)

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted


async def _exchange(parts: list[bytes], *, end: bool) -> tuple[Result, bool]:
    """Return the result of a request to which a server responds in `parts`, and whether another one may follow."""
    connection, transport = Connection(lambda _: None), Transport()
    connection.connection_made(transport)
    call = asyncio.ensure_future(connection.exchange(b"request", math.inf))
    await asyncio.sleep(0)
    for part in parts:
        if not transport.aborted:
            connection.data_received(part)
    reusable = connection.reusable and not transport.aborted
    if end or transport.aborted:
        connection.connection_lost(None)
    if not call.done() and connection._response is not None:
        call.cancel()
        return "waiting", reusable
    (result,) = await asyncio.gather(call, return_exceptions=True)
    return result, reusable  # type: ignore[return-value]  # only errors of `exchange` can be among them


def exchange(*parts: bytes, end: bool = True) -> tuple[Result, bool]:
    with asyncio.Runner() as runner:
        return runner.run(_exchange(list(parts), end=end))


def cut(data: bytes, places: list[int]) -> Iterator[bytes]:
    begin = 0
    for place in sorted({place % (len(data) + 1) for place in places} | {len(data)}):
        if place > begin:
            yield data[begin:place]
            begin = place


NAMES = st.from_regex(r"[A-Za-z][A-Za-z-]{0,15}", fullmatch=True).map(lambda name: f"X-{name}")
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)
INFORMATIONAL = st.lists(
    st.sampled_from(
        [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Length: 7\r\n\r\n"]
    ),
    max_size=2,
).map(b"".join)


@st.composite
def responses(draw: st.DrawFn) -> tuple[bytes, int, bytes, str]:
    """Return a response, its status and body, and what ends it: length, chunks or close."""
    status = draw(st.sampled_from([200, 201, 400, 403, 429, 500, 503]))
    body = draw(st.binary(max_size=200))
    ends = draw(st.sampled_from(["length", "chunks", "close"]))
    headers = [f"{name}: {value}" for name, value in draw(st.lists(st.tuples(NAMES, VALUES), max_size=4))]
    sent = body
    if ends == "length":
        headers.insert(draw(st.integers(0, len(headers))), f"content-LENGTH: {len(body)}")
    elif ends == "chunks":
        headers.append("Transfer-Encoding: chunked")
        pieces = list(cut(body, draw(st.lists(st.integers(0, 200), max_size=4))))
        sent = b"".join(b"%x;a=b\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nX-Trailer: 1\r\n\r\n"
    head = "".join(f"{line}\r\n" for line in headers)
    informational = draw(INFORMATIONAL)
    return informational + f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode() + sent, status, body, ends


PLACES = st.lists(st.integers(0, 2**16), max_size=12)


@given(responses(), PLACES)
def test_a_response_is_the_same_however_it_is_cut(sent: tuple[bytes, int, bytes, str], places: list[int]) -> None:
    data, status, body, ends = sent
    result, reusable = exchange(*cut(data, places))
    assert (result, reusable) == ((status, body), ends != "close")


@given(responses(), st.integers(0, 2**16), PLACES)
def test_a_response_that_ends_early_is_none(
    sent: tuple[bytes, int, bytes, str], missing: int, places: list[int]
) -> None:
    data, status, body, ends = sent
    arrived = data[: len(data) - 1 - missing % len(data)]
    result, reusable = exchange(*cut(arrived, places))
    assert not reusable
    if ends == "close" and isinstance(result, tuple):  # only its content shows that something is missing
        assert result[0] == status
        assert body.startswith(result[1])
    else:
        assert isinstance(result, MalformedResponseError if arrived else ConnectionClosedError)


@given(responses().filter(lambda sent: sent[3] != "close"), responses(), PLACES)
@example((b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b"", "length"), (b"H", 200, b"", "length"), [])
def test_bytes_beyond_a_response_reach_no_other_call(
    sent: tuple[bytes, int, bytes, str], surplus: tuple[bytes, int, bytes, str], places: list[int]
) -> None:
    result, reusable = exchange(*cut(sent[0] + surplus[0], places), end=False)
    assert (result, reusable) == ((sent[1], sent[2]), False)


@given(st.binary(min_size=1, max_size=300) | st.binary(max_size=100).map(lambda data: b"HTTP/1.1 " + data), PLACES)
def test_garbage_raises_nothing_but_the_error_of_the_call(data: bytes, places: list[int]) -> None:
    result, _ = exchange(*cut(data, places))
    assert isinstance(result, MalformedResponseError | tuple)


@given(responses(), st.integers(0, 2**16), st.integers(0, 255), PLACES)
def test_a_damaged_response_is_some_response_or_none_but_never_hangs(
    sent: tuple[bytes, int, bytes, str], place: int, byte: int, places: list[int]
) -> None:
    data = bytearray(sent[0])
    data[place % len(data)] = byte
    result, _ = exchange(*cut(bytes(data), places))
    assert isinstance(result, MalformedResponseError | tuple)


@pytest.mark.parametrize(
    "head",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n{}",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_response_that_two_readers_could_read_differently_is_none(head: bytes, size: int) -> None:
    parts = [head[begin : begin + size] for begin in range(0, len(head), size)]
    result, reusable = exchange(*parts, end=False)
    assert isinstance(result, MalformedResponseError)
    assert not reusable


@pytest.mark.parametrize(
    ("head", "part", "limit"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 5000, MAX_HEAD_BYTES),
        (b"HTTP/1.1 200 OK\r\n", b"X-Header: value\r\n" * 100, MAX_HEAD_BYTES),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, MAX_HEAD_BYTES),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 60_000, MAX_RESPONSE_BYTES),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n", b"x" * 60_000, MAX_RESPONSE_BYTES),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"64\r\n" + b"x" * 100 + b"\r\n",
            MAX_RESPONSE_BYTES,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            b"X: " + b"x" * 9000 + b"\r\n",
            MAX_RESPONSE_BYTES,
        ),
    ],
    ids=["header", "headers", "informational", "until close", "length", "chunks", "trailers"],
)
def test_an_endless_response_is_cut_off(head: bytes, part: bytes, limit: int) -> None:
    parts = [head, *[part] * (limit // len(part) + 1)]
    result, _ = exchange(*parts, end=False)
    assert str(result) == "too large"
    fitting = [head, *[part] * ((limit - len(head)) // len(part))]
    assert exchange(*fitting, end=False)[0] == "waiting"


def test_the_largest_response_of_step_functions_fits() -> None:
    body = b'{"input": "%s", "output": "%s"}' % (b"\\u0022" * 2**18, b"\\u00e9" * 2**18)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert exchange(head + body)[0] == (200, body)


@pytest.mark.parametrize("head", [b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 200 OK\r\nConnection: close\r\n"])
def test_a_server_that_closes_gets_no_further_request(head: bytes) -> None:
    assert exchange(head + b"Content-Length: 2\r\n\r\n{}", end=False) == ((200, b"{}"), False)

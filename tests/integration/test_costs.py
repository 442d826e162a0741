"""No input costs more than in proportion to its length: otherwise a few requests would stop the service."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import os
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final, TypeAlias

import pytest

from tests.support.growth import SUPERLINEAR, growth, seconds
from tests.support.ids import ID
from tests.support.raw_http import Listening, closed, listening
from tests.support.step_functions import described

Input: TypeAlias = Callable[[int], bytes]
"""A request, whose length is about proportional to a number."""

# Every header that the service or aiohttp reads, with a valid beginning, so that the rest is looked at.
HEADERS: Final = {
    "Accept": 'a/b;q="',
    "Accept-Encoding": "gzip;",
    "Access-Control-Request-Method": "",
    "Authorization": 'Digest a="',
    "Cookie": 'a="',
    "Forwarded": 'for="',
    "Idempotency-Key": '"',
    "If-Match": 'W/"',
    "If-Modified-Since": "Mon, 1 Jan ",
    "If-None-Match": '"a", ',
    "If-Range": "Mon, 1 Jan ",
    "Last-Event-ID": "1",
    "Origin": "https://",
    "Prefer": 'wait=1;a="',
    "Range": "bytes=0-",
    "X-Amzn-Trace-Id": "Root=1-;",
    "X-Request-Id": "a",
    "baggage": "a=",
    "traceparent": "00-",
    "tracestate": "a=",
}
NUMBERS: Final = itertools.count()
FILLERS: Final = [
    '"',
    ";",
    ",",
    "(",
    "\\",
    "a;",
    'a="b";',
    "a,",
    '"a",',
    "a ",
    "\\,",
    "9",
    "a/b;q=0.1,",
    "%41",
    "=",
    "<(",
]
TARGETS: Final = ["POST /event", f"GET /event/{ID}", "GET /docs/swagger-ui.css", "OPTIONS /event"]


def request(target: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = {"Host": "x", "Connection": "close", "Content-Type": "application/json"} | headers
    if "Transfer-Encoding" not in headers:
        lines["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{target} HTTP/1.1\r\n{head}\r\n".encode() + body


def filled(filler: str, length: int) -> str:
    return (filler * (length // len(filler) + 1))[:length].strip()


def all_headers(target: str, filler: str) -> Input:
    text = b'{"nome": "a", "sobrenome": "b"}' if target.startswith("POST") else b""
    return lambda n: request(target, {name: start + filled(filler, n) for name, start in HEADERS.items()}, text)


def one_header(name: str, start: str, filler: str) -> Input:
    # Different each time, because aiohttp keeps the last headers that it has parsed.
    return lambda n: request("POST /event", {name: f"{start}{next(NUMBERS)}{filled(filler, n)}"}, b"{}")


def repeated(name: str, value: str) -> Input:
    return lambda n: request("POST /event", {name: f"\r\n{name}: ".join([value] * max(1, n // len(value)))})


def body(text: Callable[[int], bytes], **headers: str) -> Input:
    return lambda n: request("POST /event", {name.replace("_", "-"): headers[name] for name in headers}, text(n))


def target(text: str, filler: str) -> Input:
    return lambda n: request(f"GET {text}{filled(filler, n)}", {})


HEAD_INPUTS: Final[dict[str, Input]] = {
    **{f"{to}, {filler}": all_headers(to, filler) for to in TARGETS for filler in FILLERS},
    **{f"type, {filler}": one_header("Content-Type", "application/json;a=", filler) for filler in FILLERS},
    **{
        f"type without parameters, {filler}": one_header("Content-Type", "application/json ", filler)
        for filler in FILLERS
    },
    **{f"encoding, {filler}": one_header("Content-Encoding", "gzip", filler) for filler in FILLERS},
    **{f"expectation, {filler}": one_header("Expect", "100-continue", filler) for filler in FILLERS},
    **{f"connection, {filler}": one_header("Connection", "close,", filler) for filler in FILLERS},
    **{f"host, {filler}": one_header("Host", "x", filler) for filler in FILLERS},
    **{f"id, {filler}": target("/event/exec-", filler) for filler in FILLERS},
    **{f"query, {filler}": target(f"/event/{ID}?a=", filler) for filler in FILLERS},
    **{f"path, {filler}": target("/", filler) for filler in ["/", "../", "a/", "%2f", "event/"]},
    "many headers": lambda n: request("POST /event", {f"X-{i}": "a" for i in range(n // 80)}),
    "many ranges": repeated("Accept", "a/b;q=0.1," * 8),
    "many preferences": repeated("Prefer", "wait=1, a=b," * 8),
    "many keys": repeated("Idempotency-Key", '"a\\"b"' * 10),
}
BODY_INPUTS: Final[dict[str, Input]] = {
    "arrays": body(lambda n: b"[" * n),
    "objects": body(lambda n: b'{"a":' * (n // 5)),
    "nested, complete": body(lambda n: b"[" * (n // 2) + b"]" * (n // 2)),
    "integer": body(lambda n: b'{"nome":' + b"9" * n + b"}"),
    "fraction": body(lambda n: b'{"nome":0.' + b"9" * n + b"}"),
    "exponent": body(lambda n: b'{"nome":1e' + b"9" * n + b"}"),
    "negative exponent": body(lambda n: b'{"nome":1e-' + b"9" * n + b"}"),
    "escapes": body(lambda n: b'{"nome":"' + b"\\u00e9" * (n // 6) + b'"}'),
    "surrogates": body(lambda n: b'{"nome":"' + b"\\ud83d" * (n // 6) + b'"}'),
    "backslashes": body(lambda n: b'{"nome":"' + b"\\" * n),
    "invalid UTF-8": body(lambda n: b'{"nome":"' + b"\xe9" * n + b'"}'),
    "blanks": body(lambda n: b" " * n),
    "one name": body(lambda n: b"{" + b'"nome":1,' * (n // 9) + b'"nome":1}'),
    "names": body(lambda n: b"{" + b",".join(b'"a%d":1' % i for i in range(n // 12)) + b"}"),
    "items": body(lambda n: b"[" + b"{}," * (n // 3) + b"1]"),
    "chunks of a byte": body(lambda n: b"1\r\n \r\n" * (n // 6) + b"0\r\n\r\n", Transfer_Encoding="chunked"),
    "trailers": body(lambda n: b"0\r\n" + b"a: b\r\n" * (n // 6) + b"\r\n", Transfer_Encoding="chunked"),
    "gzip": body(lambda n: gzip.compress(b" " * n * 100), Content_Encoding="gzip"),
    "deflate": body(lambda n: zlib.compress(b"[" * n * 100), Content_Encoding="deflate"),
    "many members of gzip": body(lambda n: gzip.compress(b" ") * (n // 21), Content_Encoding="gzip"),
}


UNREAD: Final = {
    "GET": "GET /healthz",
    "no route": "POST /nowhere",
    "no method": "PUT /event",
    "a read": f"GET /event/{ID}",
    "a document": "GET /docs",
    "another type": "POST /event",
}


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def service(runner: asyncio.Runner) -> Iterator[Listening]:
    made = listening()
    it = runner.run(made.__aenter__())
    it.stage.endpoint.script("DescribeExecution", described("SUCCEEDED", output="{}"))
    it.stage.bridges.release()  # requests are read as usual, then refused
    yield it
    runner.run(made.__aexit__(None, None, None))


def cost_grows(runner: asyncio.Runner, service: Listening, made: Input, size: int) -> float:
    async def send(size: int) -> None:
        answer = await closed(await service.connect(made(size)))
        service.end("FIN")
        assert answer.startswith(b"HTTP/1.")
        assert b" 500 " not in answer[:20]

    return growth(lambda size: runner.run(send(size)), size)


@pytest.mark.parametrize("kind", HEAD_INPUTS)
def test_no_head_costs_more_than_its_length(runner: asyncio.Runner, service: Listening, kind: str) -> None:
    assert cost_grows(runner, service, HEAD_INPUTS[kind], 8000) < SUPERLINEAR


@pytest.mark.parametrize("kind", BODY_INPUTS)
def test_no_body_costs_more_than_its_length(runner: asyncio.Runner, service: Listening, kind: str) -> None:
    assert cost_grows(runner, service, cache(BODY_INPUTS[kind]), 250_000) < SUPERLINEAR


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("kind", UNREAD)
def test_a_body_that_nobody_reads_is_not_decompressed(
    runner: asyncio.Runner, service: Listening, kind: str, encoding: str
) -> None:
    bomb = (gzip if encoding == "gzip" else zlib).compress(b" " * 50_000_000)

    async def send(body: bytes) -> None:
        reader = await service.connect(
            request(UNREAD[kind], {"Content-Encoding": encoding, "Content-Type": "a/b", "Connection": "close"}, body)
        )
        assert (await closed(reader)).startswith(b"HTTP/1.1")
        service.end("FIN")
        await service.opened(0)

    plain = seconds(lambda _: runner.run(send(os.urandom(len(bomb)))), 0)
    assert seconds(lambda _: runner.run(send(bomb)), 0) < 5 * max(plain, 0.01)

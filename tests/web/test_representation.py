"""What every response has in common, whichever part of the service or of aiohttp writes it."""

from __future__ import annotations

import re

import pytest

from tests.support.ids import ID
from tests.support.raw_http import closed, listening
from tests.support.step_functions import described, ok

GET = "GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}\r\n"
POST = "POST /event HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}Content-Length: {}\r\n\r\n{}"
NAMES = '{"nome": "a", "sobrenome": "b"}'


def get(path: str, *headers: str) -> str:
    return GET.format(path, "".join(f"{header}\r\n" for header in headers))


def post(body: str, *headers: str) -> str:
    return POST.format(
        "".join(f"{header}\r\n" for header in ("Content-Type: application/json", *headers)), len(body), body
    )


RESPONSES = {
    "result": (200, get(f"/event/{ID}")),
    "stream": (200, get(f"/event/{ID}", "Accept: text/event-stream")),
    "stream that was read to its end": (204, get(f"/event/{ID}", "Accept: text/event-stream", "Last-Event-ID: end")),
    "head": (200, get(f"/event/{ID}").replace("GET", "HEAD", 1)),
    "location": (202, post(NAMES, "Prefer: respond-async")),
    "stopped": (204, get(f"/event/{ID}").replace("GET", "DELETE", 1)),
    "health": (200, get("/healthz")),
    "readiness": (200, get("/readyz")),
    "metrics": (200, get("/metrics")),
    "description": (200, get("/openapi.json")),
    "page": (200, get("/docs")),
    "file": (200, get("/docs/swagger-ui.css")),
    "part of a file": (206, get("/docs/swagger-ui.css", "Range: bytes=0-9")),
    "no such part": (416, get("/docs/swagger-ui.css", "Range: bytes=x")),
    "unchanged file": (304, get("/docs/swagger-ui.css", "If-Modified-Since: Mon, 01 Jan 2035 00:00:00 GMT")),
    "redirect": (302, get("/")),
    "unknown path": (404, get("/nowhere")),
    "unknown id": (404, get("/event/x")),
    "unsupported method": (405, get("/event")),
    "not JSON": (415, post("x", "X: y").replace("/json", "/xml")),
    "malformed JSON": (400, post("x")),
    "against the schema": (422, post("{}")),
    "too large": (413, post(" " * 300_000)),
    "not acceptable": (406, get(f"/event/{ID}", "Accept: text/html")),
    "invalid key": (400, post(NAMES, "Idempotency-Key: a b")),
    "unsupported encoding": (415, post("x", "Content-Encoding: x")),
    "encoding that aiohttp refuses": (415, post("x", "Content-Encoding: zstd")),
    "unknown expectation": (417, post("x", "Expect: x")),
    "malformed HTTP": (400, "nonsense\r\n\r\n"),
    "long head": (431, get("/", "X: " + "x" * 9000)),
}
PRIVATE = ("result", "stream", "stream that was read to its end", "head", "location", "readiness", "metrics")


@pytest.mark.parametrize("kind", RESPONSES)
async def test_no_response_names_a_version_and_no_cache_keeps_a_problem_or_a_result(kind: str) -> None:
    status, request = RESPONSES[kind]
    async with listening() as it:
        it.stage.endpoint.script("DescribeExecution", described("SUCCEEDED", output="{}"))
        it.stage.endpoint.script("StopExecution", ok(stopDate=1.0))
        answer = await closed(await it.connect(request.encode()))
    head = answer.partition(b"\r\n\r\n")[0].decode()
    assert head.split()[1] == str(status)
    assert re.findall("(?i)^server: (.*?)\r?$", head, re.MULTILINE) == ["sync-front"]
    assert "aiohttp" not in head
    assert "Python" not in head
    if "problem+json" in head or kind in PRIVATE:
        assert "\nCache-Control: no-store" in head
    assert ("problem+json" in head) == (status >= 400 and status != 416)

from __future__ import annotations

import asyncio
import json

import pytest
from structlog.testing import capture_logs

from tests.support.raw_http import closed, head, listening


async def test_a_caller_that_expects_100_continue_gets_it() -> None:
    async with listening() as it:
        body = b"not json"
        post = b"POST /event HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: %d\r\n\r\n"
        reader = await it.connect(post % len(body))
        async with asyncio.timeout(20):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        it.send(body)
        assert (await head(reader))[0] == b"HTTP/1.1 415 Unsupported Media Type"


@pytest.mark.parametrize("expectation", [b"Secret", b"Secret\xff", b"\xc3(", b"100-continue\xed\xa0\x80"])
@pytest.mark.parametrize("target", [b"POST /event", b"POST /nowhere", b"PUT /event", b"GET /healthz"])
async def test_an_unknown_expectation_is_a_problem_on_every_path(target: bytes, expectation: bytes) -> None:
    async with listening() as it:
        with capture_logs() as logs:
            reader = await it.connect(b"%b HTTP/1.1\r\nHost: x\r\nExpect: %b\r\n\r\n" % (target, expectation))
            status, headers = await head(reader)
            body = await closed(reader)
            problem = json.loads(body)
        assert status.endswith(b" 417 Expectation Failed")
        assert headers[b"content-type"] == b"application/problem+json"
        assert (int(headers[b"content-length"]), headers[b"connection"]) == (len(body), b"close")
        assert (problem["type"], problem["status"]) == ("about:blank", 417)
        assert [entry["request_id"] for entry in logs] == [problem["request_id"]]
        assert "Secret" not in f"{problem} {logs}"


async def test_an_expectation_in_http_1_0_is_ignored() -> None:
    async with listening() as it:
        reader = await it.connect(b"GET /healthz HTTP/1.0\r\nExpect: anything\r\n\r\n")
        assert (await head(reader))[0] == b"HTTP/1.0 200 OK"

"""Calls to an AWS service: each way to fail raises the right error."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from service.stepfunctions.errors import AwsError, NoResponseError, NotSentError
from service.stepfunctions.transport import AwsJsonClient
from tests.support.step_functions import ScriptedStepFunctions, endpoint_at, error, gated, ok, reset

LIST = ("ListStateMachines", {"maxResults": 1})


def calls(url: str, **changes: Any) -> AwsJsonClient:
    return AwsJsonClient(endpoint_at(url, **changes), "AWSStepFunctions", connect_timeout=1.0, response_timeout=0.5)


@pytest.fixture
async def endpoint() -> AsyncIterator[ScriptedStepFunctions]:
    async with ScriptedStepFunctions() as scripted:
        scripted.script(LIST[0], ok(stateMachines=[]))
        yield scripted


async def test_a_response_is_returned(endpoint: ScriptedStepFunctions) -> None:
    async with calls(endpoint.url) as api:
        assert await api.call(*LIST) == {"stateMachines": []}
    assert endpoint.calls == [LIST]


@pytest.mark.parametrize(
    "code",
    [
        "TooMany",
        "com.amazonaws.swf.service.v2.model#TooMany",
        "TooMany:http://internal.amazon.com/coral/com.amazon.coral.availability/",
        "com.amazonaws#TooMany:http://internal.amazon.com/coral#x",
    ],
)
async def test_an_error_has_its_bare_code_and_status(endpoint: ScriptedStepFunctions, code: str) -> None:
    endpoint.script(LIST[0], error(code, 400))
    async with calls(endpoint.url) as api:
        with pytest.raises(AwsError) as raised:
            await api.call(*LIST)
    assert (raised.value.code, raised.value.status) == ("TooMany", 400)


@pytest.mark.parametrize("code", ["x" * 2**20, "\ud800", "with a blank", "line\nbreak", "", ":", 5, None, ["a"], {}])
async def test_a_code_that_does_not_look_like_one_is_replaced_by_the_status(
    endpoint: ScriptedStepFunctions, code: object
) -> None:
    endpoint.script(LIST[0], error(code, 400))  # type: ignore[arg-type]  # wrong on purpose
    async with calls(endpoint.url) as api:
        with pytest.raises(AwsError) as raised:
            await api.call(*LIST)
    assert (raised.value.code, raised.value.status, raised.value.host) == ("400", 400, "127.0.0.1")


@pytest.mark.parametrize("status", [302, 403])
async def test_an_error_page_of_another_server_has_its_status_as_its_code(
    endpoint: ScriptedStepFunctions, status: int
) -> None:
    async def page(_request: web.Request, _call: object) -> web.Response:
        return web.Response(text="<html>", status=status, headers={"Location": "/elsewhere"})

    endpoint.script(LIST[0], page)
    async with calls(endpoint.url) as api:
        with pytest.raises(AwsError) as raised:
            await api.call(*LIST)
    assert (raised.value.code, raised.value.status) == (str(status), status)


@pytest.mark.parametrize("text", ["<html>", "[]", "1", ""])
async def test_a_success_without_a_json_object_gave_no_response(endpoint: ScriptedStepFunctions, text: str) -> None:
    async def page(_request: web.Request, _call: object) -> web.Response:
        return web.Response(text=text)

    endpoint.script(LIST[0], page)
    async with calls(endpoint.url) as api:
        with pytest.raises(NoResponseError, match="200 without a JSON object") as raised:
            await api.call(*LIST)
    assert (raised.value.phase, raised.value.host) == ("response", "127.0.0.1")


async def test_a_connection_that_breaks_after_the_request_gave_no_response(endpoint: ScriptedStepFunctions) -> None:
    endpoint.script(LIST[0], reset())
    async with calls(endpoint.url) as api:
        with pytest.raises(NoResponseError):
            await api.call(*LIST)


async def test_a_silent_server_gave_no_response(endpoint: ScriptedStepFunctions) -> None:
    endpoint.script(LIST[0], gated(asyncio.Event(), ok()))
    async with calls(endpoint.url) as api:
        with pytest.raises(NoResponseError, match="timeout"):
            await api.call(*LIST)


async def test_a_truncated_response_counts_as_no_response() -> None:
    async def cut(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        writer.close()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    async with server, calls(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as api:
        with pytest.raises(NoResponseError):
            await api.call(*LIST)


async def test_without_a_listener_nothing_was_sent() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        async with calls(f"http://127.0.0.1:{free.getsockname()[1]}") as api:
            with pytest.raises(NotSentError):
                await api.call(*LIST)


async def test_a_response_with_lone_surrogates_is_parsed(endpoint: ScriptedStepFunctions) -> None:
    async def script(_request: web.Request, _call: object) -> web.Response:
        return web.Response(text='{"output": "\\ud800"}')

    endpoint.script(LIST[0], script)
    async with calls(endpoint.url) as api:
        assert await api.call(*LIST) == {"output": "\ud800"}


async def test_with_a_proxy_that_refuses_the_tunnel_nothing_is_sent() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"CONNECT states.test:443 ")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with calls("https://states.test", proxy=proxy) as api:
            with pytest.raises(NotSentError):
                await api.call(*LIST)

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from service.local.asl.retry import StateError
from service.local.http_task import HttpTask
from tests.local.conftest import DEADLINE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONNECTION = "arn:aws:events:us-east-1:000000000000:connection/test/1"


class Server:
    """An HTTP server with a configurable response; it keeps the requests."""

    def __init__(self) -> None:
        self.url = ""
        self.response = web.Response()
        self.requests: list[tuple[web.Request, bytes]] = []
        self.task = HttpTask({CONNECTION: {"x-api-key": "from the connection"}})

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append((request, await request.read()))
        return self.response

    async def invoke(self, **arguments: Any) -> Any:
        given = {"ApiEndpoint": self.url, "Method": "POST", "Authentication": {"ConnectionArn": CONNECTION}}
        async with asyncio.timeout(DEADLINE):
            return await self.task.invoke(given | arguments)

    async def error(self, **arguments: Any) -> tuple[str, str]:
        with pytest.raises(StateError) as caught:
            await self.invoke(**arguments)
        return caught.value.error, caught.value.cause


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/path", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/path"
    yield server
    await server.task.close()
    await runner.cleanup()


async def test_a_request_has_its_body_headers_query_and_the_credentials_of_its_connection(server: Server) -> None:
    server.response = web.json_response({"a": [1]}, headers={"X-Two": "1"})
    result = await server.invoke(
        RequestBody={"é": ["x"]}, Headers={"X-Mine": 7, "x-api-key": "mine"}, QueryParameters={"q": "a b"}
    )
    request, body = server.requests[0]
    assert (request.method, request.path_qs) == ("POST", "/path?q=a+b")
    assert json.loads(body) == {"é": ["x"]}
    assert request.headers["X-Mine"] == "7"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers.getall("x-api-key") == ["from the connection"]
    assert (result["StatusCode"], result["StatusText"], result["ResponseBody"]) == (200, "OK", {"a": [1]})
    assert result["Headers"]["x-two"] == ["1"]


async def test_a_response_that_is_not_json_is_text_and_a_request_needs_no_body(server: Server) -> None:
    server.response = web.Response(text="hello")
    assert (await server.invoke(Method="GET"))["ResponseBody"] == "hello"
    assert server.requests[0][1] == b""


@pytest.mark.parametrize("status", [302, 400, 429, 500, 599])
async def test_any_other_status_than_2xx_is_an_error_with_its_own_name(server: Server, status: int) -> None:
    server.response = web.Response(status=status, text="why", headers={"Location": "/elsewhere"})
    assert await server.error() == (f"States.Http.StatusCode.{status}", "why")
    assert len(server.requests) == 1


async def test_an_unreachable_endpoint_is_a_socket_error(server: Server) -> None:
    assert (await server.error(ApiEndpoint="http://127.0.0.1:1/"))[0] == "States.Http.Socket"
    assert (await server.error(ApiEndpoint="nonsense"))[0] == "States.Http.Socket"


async def test_a_response_that_is_too_large_or_not_text_is_an_error(server: Server) -> None:
    server.response = web.Response(body=b"x" * 262_145)
    assert (await server.error())[0] == "States.DataLimitExceeded"
    server.response = web.Response(body=b"\xff\xfe")
    assert (await server.error())[0] == "States.Runtime"


@pytest.mark.parametrize(
    "header", ["Host", "authorization", "X-Amz-Date", "x-forwarded-for", "Content-Encoding", "If-Match", "X-A\n"]
)
async def test_a_forbidden_header_is_a_runtime_error(server: Server, header: str) -> None:
    assert (await server.error(Headers={header: "x"}))[0] == "States.Runtime"
    assert server.requests == []


@pytest.mark.parametrize(
    "wrong",
    [{"Method": "CONNECT"}, {"ApiEndpoint": None}, {"Authentication": None}, {"Headers": []}, {"Transform": {}}],
)
async def test_an_invalid_argument_is_a_runtime_error(server: Server, wrong: dict[str, Any]) -> None:
    assert (await server.error(**wrong))[0] == "States.Runtime"


@pytest.mark.parametrize("arguments", [None, [], {}, "x"])
async def test_incomplete_arguments_are_a_runtime_error(server: Server, arguments: Any) -> None:
    with pytest.raises(StateError) as caught:
        await server.task.invoke(arguments)
    assert caught.value.error == "States.Runtime"


async def test_a_request_to_this_machine_may_use_any_connection(server: Server) -> None:
    await server.invoke(Authentication={"ConnectionArn": "arn:other"})
    assert "x-api-key" not in server.requests[0][0].headers


@pytest.mark.parametrize("url", ["http://example.invalid/a", "https://192.0.2.1/127.0.0.1", "http:///a"])
async def test_an_unknown_connection_is_an_error_that_names_it(server: Server, url: str) -> None:
    error, cause = await server.error(ApiEndpoint=url, Authentication={"ConnectionArn": "arn:other"})
    assert error == "Events.ConnectionResource.ResourceNotFound"
    assert "arn:other" in cause

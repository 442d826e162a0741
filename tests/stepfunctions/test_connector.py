"""New connections: whatever hangs, fails or talks nonsense on the way, nothing was sent, and the phase is named."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
import uvloop
from botocore.credentials import ReadOnlyCredentials

from service.errors import Unreachable
from service.stepfunctions.client import StepFunctionsClient
from service.stepfunctions.connector import Connector
from service.stepfunctions.endpoint import Endpoint
from service.stepfunctions.errors import NotSentError
from service.stepfunctions.transport import AwsJsonClient
from tests.support.step_functions import ARN, endpoint_at
from tests.support.tcp import (
    ConnectProxy,
    Handler,
    free_port,
    full_backlog,
    read_request,
    response,
    silence,
    tcp_server,
)
from tests.support.tls import self_signed

CALL: Final = ("ListStateMachines", {"maxResults": 1})
Obstacle: TypeAlias = Callable[[pytest.MonkeyPatch], Any]
"""An async context manager that yields an endpoint which cannot be reached."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trust(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate)


def client_of(endpoint: Endpoint, connect_timeout: float = 5.0) -> AwsJsonClient:
    return AwsJsonClient(endpoint, "AWSStepFunctions", connect_timeout=connect_timeout, response_timeout=3.0)


def says(text: bytes) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await silence(reader, writer)

    return handle


async def closes(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read(1)


async def never() -> ReadOnlyCredentials:
    await asyncio.Event().wait()
    raise AssertionError


def gives(*credentials: str | None) -> Callable[[], Coroutine[Any, Any, ReadOnlyCredentials]]:
    async def give() -> ReadOnlyCredentials:
        return ReadOnlyCredentials(*credentials)

    return give


async def raises() -> ReadOnlyCredentials:
    raise KeyError("Expiration")


def credentials(read: Callable[[], Coroutine[Any, Any, ReadOnlyCredentials]]) -> Obstacle:
    @asynccontextmanager
    async def obstacle(_: pytest.MonkeyPatch) -> AsyncIterator[Endpoint]:
        async with tcp_server(says(response())) as port:
            yield endpoint_at(f"http://127.0.0.1:{port}", credentials=read)

    return obstacle


def server(handle: Handler, scheme: str = "https") -> Obstacle:
    @asynccontextmanager
    async def obstacle(_: pytest.MonkeyPatch) -> AsyncIterator[Endpoint]:
        async with tcp_server(handle) as port:
            yield endpoint_at(f"{scheme}://127.0.0.1:{port}")

    return obstacle


def proxy(handle: Handler, scheme: str = "http", tls: ssl.SSLContext | None = None) -> Obstacle:
    @asynccontextmanager
    async def obstacle(_: pytest.MonkeyPatch) -> AsyncIterator[Endpoint]:
        async with tcp_server(handle, tls) as port:
            yield endpoint_at("https://states.test", proxy=f"{scheme}://127.0.0.1:{port}")

    return obstacle


@asynccontextmanager
async def hanging_dns(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Endpoint]:
    release = threading.Event()
    original = socket.getaddrinfo

    def hang(host: str, *arguments: Any, **options: Any) -> Any:
        if host == "states.test" and not options.get("flags"):
            release.wait(30)
        return original(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        yield endpoint_at("http://states.test")
    finally:
        release.set()


@asynccontextmanager
async def unknown_name(_: pytest.MonkeyPatch) -> AsyncIterator[Endpoint]:
    yield endpoint_at("http://states.invalid")


@asynccontextmanager
async def impossible_name(_: pytest.MonkeyPatch) -> AsyncIterator[Endpoint]:
    yield endpoint_at(f"http://{'a' * 64}.test")


@asynccontextmanager
async def hanging_connect(_: pytest.MonkeyPatch) -> AsyncIterator[Endpoint]:
    with full_backlog() as port:
        yield endpoint_at(f"http://127.0.0.1:{port}")


@asynccontextmanager
async def refused(_: pytest.MonkeyPatch) -> AsyncIterator[Endpoint]:
    with free_port() as port:
        yield endpoint_at(f"http://127.0.0.1:{port}")


OBSTACLES: Final[dict[str, tuple[str, Obstacle]]] = {
    "credentials hang": ("credentials", credentials(never)),
    "credentials fail": ("credentials", credentials(raises)),
    "token with a line break": ("credentials", credentials(gives("AKID", "secret", "token\r\nX-Amz-Target: other"))),
    "key with a line break": ("credentials", credentials(gives("AKID\n", "secret", None))),
    "key beyond ASCII": ("credentials", credentials(gives("AKI\u00d0", "secret", None))),
    "no key": ("credentials", credentials(gives(None, None, None))),
    "dns hangs": ("dns", hanging_dns),
    "name unknown": ("dns", unknown_name),
    "name impossible": ("dns", impossible_name),
    "connect hangs": ("connect", hanging_connect),
    "connect refused": ("connect", refused),
    "proxy silent": ("proxy", proxy(silence)),
    "proxy drips": ("proxy", proxy(says(b"HTTP/1.1 200 OK\r\nX: "))),
    "proxy closes": ("proxy", proxy(closes)),
    "proxy wants a password": ("proxy", proxy(says(response(b"", status=407)))),
    "proxy refuses": ("proxy", proxy(says(response(b"no", status=403)))),
    "proxy redirects": ("proxy", proxy(says(response(b"", "Location: /", status=302)))),
    "proxy talks SSH": ("proxy", proxy(says(b"SSH-2.0-OpenSSH_9.6\r\n"))),
    "proxy head endless": ("proxy", proxy(says(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000))),
    "proxy switches": ("proxy", proxy(says(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"))),
    "proxy talks into the tunnel": ("proxy", proxy(says(b"HTTP/1.1 200 OK\r\n\r\nSSH-2.0-OpenSSH_9.6\r\n"))),
    "proxy sends a page": ("proxy", proxy(says(response(b"<html>")))),
    "proxy sends two heads": ("proxy", proxy(says(response(b"") + response(b"")))),
    "proxy without TLS": ("proxy", proxy(says(b"HTTP/1.1 400 Bad\r\n\r\n"), "https")),
    "tunnel to silence": ("tls", proxy(says(response(b"")))),
    "tls hangs": ("tls", server(silence)),
    "tls closes": ("tls", server(closes)),
    "tls is HTTP": ("tls", server(says(b"HTTP/1.1 400 Bad Request\r\n\r\n"))),
}


@pytest.fixture(params=OBSTACLES)
async def obstacle(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[str, Endpoint]]:
    phase, found = OBSTACLES[request.param]
    monkeypatch.setattr("service.stepfunctions.transport.CREDENTIALS_TIMEOUT_S", 0.3)
    async with found(monkeypatch) as endpoint:
        yield phase, endpoint


async def test_whatever_fails_before_the_request_was_not_sent_and_names_its_phase(
    obstacle: tuple[str, Endpoint],
) -> None:
    phase, endpoint = obstacle
    async with client_of(endpoint, connect_timeout=0.3) as api:
        with pytest.raises(NotSentError) as raised:
            await api.call(*CALL)
    assert (raised.value.phase, "token" in str(raised.value)) == (phase, False)
    assert raised.value.host in {"127.0.0.1", "states.test", "states.invalid", f"{'a' * 64}.test"}


async def test_a_start_that_cannot_be_sent_is_unreachable_within_the_timeout(obstacle: tuple[str, Endpoint]) -> None:
    began = time.monotonic()
    async with StepFunctionsClient(obstacle[1], ARN, max_starts=1, timeout=1.0, attempt_timeout=0.3) as client:
        with pytest.raises(Unreachable):
            await client.start("exec-1", "{}", asyncio.get_running_loop().time() + 25)
    assert time.monotonic() - began < 3


async def test_a_deadline_during_a_hanging_phase_does_not_make_the_outcome_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    began = time.monotonic()
    async with hanging_dns(monkeypatch) as endpoint, client_of(endpoint, connect_timeout=20) as api:
        with pytest.raises(NotSentError, match="timeout"):
            await api.call(*CALL, asyncio.get_running_loop().time() + 0.1)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "too large"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "no HTTP"),
        (response(b"no", status=403), "403"),
        (response(b"<html>"), "data before TLS"),
    ],
)
async def test_a_proxy_that_opens_no_tunnel_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, said: bytes, reason: str
) -> None:
    async with proxy(says(said))(monkeypatch) as endpoint, client_of(endpoint) as api:
        with pytest.raises(NotSentError, match=reason):
            await api.call(*CALL)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - quick, and nothing else is needed


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files as Linux shows them")
async def test_a_call_cancelled_in_any_phase_leaves_no_socket_behind(obstacle: tuple[str, Endpoint]) -> None:
    async with client_of(obstacle[1], connect_timeout=20) as api:
        before = open_files()
        for delay in (0.0, 0.001, 0.01, 0.05):
            call = asyncio.create_task(api.call(*CALL))
            await asyncio.wait([call], timeout=delay)
            call.cancel()
            await asyncio.wait([call])
        async with asyncio.timeout(10):
            while open_files() > before:  # noqa: ASYNC110 - the operating system has no event for it
                await asyncio.sleep(0.01)


async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await read_request(reader)
        writer.write(response(b'{"ok": true}'))


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_calls_go_through_a_tunnel(
    loop: Callable[[], asyncio.AbstractEventLoop], scheme: str, server_tls: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    async def run() -> None:
        async with tcp_server(answers, server_tls) as port:
            passing = ConnectProxy()
            async with tcp_server(passing, server_tls if scheme == "https" else None) as proxy_port:
                by = f"{scheme}://us%40er:p%3Ass@127.0.0.1:{proxy_port}"
                endpoint = endpoint_at(f"https://127.0.0.1:{port}", proxy=by, tls=trust)
                async with client_of(endpoint) as api:
                    assert await api.call(*CALL) == {"ok": True}
                    assert await api.call(*CALL) == {"ok": True}
        credentials = b64encode(b"us@er:p:ss")
        (request,) = passing.requests
        assert request.startswith(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n".encode())
        assert b"\r\nProxy-Authorization: Basic " + credentials + b"\r\n" in request

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())


async def test_a_proxy_for_an_http_endpoint_gets_the_whole_url() -> None:
    heads = []

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await read_request(reader))[0])
        writer.write(response())
        await silence(reader, writer)

    async with tcp_server(forward) as port:
        by = f"http://user:secret@127.0.0.1:{port}"
        async with client_of(endpoint_at("http://states.test/below", proxy=by)) as api:
            assert await api.call(*CALL) == {}
    assert heads[0].startswith(b"POST http://states.test/below HTTP/1.1\r\nHost: states.test\r\nProxy-Authorization: ")


@pytest.mark.parametrize(
    "url", ["socks5://127.0.0.1:1080", "ftp://proxy", "http://", "http://ho st:1", "http://h:99999"]
)
def test_a_proxy_that_cannot_be_used_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match=r"proxy cannot be used"):
        Connector(endpoint_at("https://states.test", proxy=url), 1.0)


async def test_a_certificate_of_nobody_we_trust_is_refused(server_tls: ssl.SSLContext) -> None:
    async with tcp_server(answers, server_tls) as port, client_of(endpoint_at(f"https://127.0.0.1:{port}")) as api:
        with pytest.raises(NotSentError, match="certificate") as raised:
            await api.call(*CALL)
    assert raised.value.phase == "tls"


async def test_the_next_address_is_tried_if_one_does_not_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    with full_backlog() as dead:
        async with tcp_server(answers) as port:

            def both(*_: Any, **options: Any) -> Any:
                if options.get("flags"):
                    raise socket.gaierror
                kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
                return [(*kind, ("127.0.0.1", dead)), (*kind, ("127.0.0.1", port))]

            monkeypatch.setattr(socket, "getaddrinfo", both)
            async with client_of(endpoint_at("http://states.test")) as api:
                assert await api.call(*CALL) == {"ok": True}


async def test_a_name_is_looked_up_again_after_its_address_did_not_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    with free_port() as dead:
        async with tcp_server(answers) as port:
            ports = iter([dead, port])

            def moving(*_: Any, **options: Any) -> Any:
                if options.get("flags"):
                    raise socket.gaierror
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", next(ports)))]

            monkeypatch.setattr(socket, "getaddrinfo", moving)
            async with client_of(endpoint_at("http://states.test")) as api:
                with pytest.raises(NotSentError):
                    await api.call(*CALL)
                assert await api.call(*CALL) == {"ok": True}

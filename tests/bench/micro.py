"""Benchmarks of single parts of a request, which show where a regression comes from; `make bench` runs them.

Each figure is for one call of a function that repeats its work REPETITIONS times, on the service's own event loop; a
handshake is done once.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
import uvloop
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials
from pytest_benchmark.fixture import BenchmarkFixture
from websockets.frames import Frame, Opcode

from service.appsync import ApiKey, Link
from service.appsync.protocol import Protocol
from service.bridge.pending import PendingReplies
from service.bridge.result import Result
from service.stepfunctions.outcomes import Succeeded
from service.stepfunctions.sigv4 import Signer
from service.telemetry import logs
from service.telemetry.metrics import Metrics
from service.web import context, middleware
from tests.bench.stand_in import NAMESPACE, OUTPUT, StandIn
from tests.support.tls import self_signed, server_context

REPETITIONS: Final = 1000
NO_DEADLINE: Final = 1e9
"""A deadline too far away to matter, in seconds."""

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner.run


def reply(number: int) -> str:
    return orjson.dumps({"id": f"exec-{number:032d}", "status": "SUCCEEDED", "output": OUTPUT}).decode()


def frame(subscription: str, number: int) -> bytes:
    return orjson.dumps({"id": subscription, "type": "data", "event": reply(number)})


def test_frames_through_the_protocol(benchmark: BenchmarkFixture) -> None:
    protocol = Protocol(0.0)
    subscription, _ = protocol.subscribe(f"/{NAMESPACE}/me/*", {})
    protocol.receive(orjson.dumps({"type": "subscribe_success", "id": subscription}), 0.0)
    frames = [frame(subscription, number) for number in range(REPETITIONS)]

    def receive() -> None:
        for item in frames:
            protocol.receive(item, 1.0)

    benchmark(receive)
    assert protocol.counters.malformed == protocol.counters.unknown_ids == 0


def test_frames_over_a_socket_through_the_link_into_the_table(benchmark: BenchmarkFixture, run: Run) -> None:
    aws, replies = StandIn(), PendingReplies()
    link: Link

    async def open_() -> None:
        nonlocal link
        await aws.open()
        link = Link(aws.realtime_url, ApiKey(aws.environment()["APPSYNC_HTTP_URL"], "da2-bench"))
        link.open()
        assert await link.subscribe(f"/{NAMESPACE}/me/*", replies.deliver).wait_live(10)

    async def receive() -> None:
        realtime, subscription = aws.channels[f"{NAMESPACE}/me/*"]
        frames = (
            Frame(Opcode.TEXT, frame(subscription, number)).serialize(mask=False) for number in range(REPETITIONS)
        )
        end = link.frames_received + REPETITIONS
        realtime.write(b"".join(frames))
        async with asyncio.timeout(10):
            while link.frames_received < end:  # noqa: ASYNC110 - no event marks the last frame
                await asyncio.sleep(0)

    async def close() -> None:
        await link.close()
        aws.close()

    run(open_())
    benchmark(lambda: run(receive()))
    run(close())
    assert replies.malformed == 0


@pytest.mark.parametrize("waiting", [0, 10_000])
def test_a_waiter_among_others_in_the_table(benchmark: BenchmarkFixture, run: Run, waiting: int) -> None:
    replies, waiters = PendingReplies(), ExitStack()
    events = [reply(number) for number in range(REPETITIONS)]
    ids = [orjson.loads(event)["id"] for event in events]

    async def fill() -> None:
        for number in range(waiting):
            waiters.enter_context(replies.expect(f"exec-waiting-{number}", NO_DEADLINE))

    async def settle() -> None:
        for id_, event in zip(ids, events, strict=True):
            with replies.expect(id_, NO_DEADLINE) as waiter:
                replies.deliver(event)
            assert waiter.done()

    run(fill())
    benchmark(lambda: run(settle()))
    assert len(replies) == waiting
    waiters.close()


@pytest.mark.parametrize("token", [None, "x" * 1000], ids=["key", "role"])
def test_signatures(benchmark: BenchmarkFixture, token: str | None) -> None:
    signer = Signer("https://states.eu-west-1.amazonaws.com/", "states", "eu-west-1")
    credentials = ReadOnlyCredentials("AKIDEXAMPLE", "secret", token)
    body = orjson.dumps({"stateMachineArn": "arn", "name": "exec", "input": reply(1)})

    def sign() -> None:
        for _ in range(REPETITIONS):
            signer.headers("AWSStepFunctions.StartExecution", body, credentials, 1.8e9)

    benchmark(sign)


def test_signatures_by_botocore(benchmark: BenchmarkFixture) -> None:
    signer = SigV4Auth(Credentials("AKIDEXAMPLE", "secret"), "states", "eu-west-1")
    body = orjson.dumps({"stateMachineArn": "arn", "name": "exec", "input": reply(1)})
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AWSStepFunctions.StartExecution"}

    def sign() -> None:
        for _ in range(REPETITIONS):
            signer.add_auth(AWSRequest("POST", "https://states.eu-west-1.amazonaws.com/", headers, body))

    benchmark(sign)


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, session: ssl.SSLSession | None) -> ssl.SSLSession | None:
    """Shake hands in memory, on both sides; return the session, with which the next handshake may be shorter."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1", session=session)
    called = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (caller, called, caller, called):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    called.write(b".")
    caller.read(1)  # TLS 1.3 sends the session after the handshake
    return caller.session


@pytest.mark.parametrize("resumed", [False, True], ids=["full", "resumed"])
def test_handshakes(benchmark: BenchmarkFixture, tmp_path: Path, resumed: bool) -> None:
    certificate = self_signed(tmp_path)
    client, server = ssl.create_default_context(cafile=certificate), server_context(certificate)
    session = handshake(client, server, None) if resumed else None
    benchmark(lambda: handshake(client, server, session))


@pytest.mark.parametrize("most", [0, 10**9], ids=["counted", "counted and logged"])
def test_telemetry_of_a_request(benchmark: BenchmarkFixture, run: Run, most: int) -> None:
    """Measure the metrics of a request, and its log line if the sampler admits it."""
    logs.configure("INFO", "json")
    app = web.Application()
    metrics = app[context.METRICS] = Metrics()
    app[context.TRACES], app[context.WORKFLOWS] = None, {"/event": "event"}
    middleware.sample_log(app)
    app[context.SAMPLER]._limit = most

    async def handle(_request: web.Request) -> web.Response:
        return web.Response()

    async def finish(requests: list[web.Request]) -> None:
        for request in requests:
            middleware._begin_trace(request, request[context.CONTEXT])
            middleware._end(request, request[context.CONTEXT], 0.0, status=200)

    async def prepare(requests: list[web.Request]) -> None:
        for number in range(REPETITIONS):
            request = make_mocked_request("POST", "/event", app=app)
            request._match_info = await app.router.resolve(request)
            request._match_info.add_app(app)
            id_ = f"exec-{number:032d}"
            answer = Result(id_, Succeeded(b"{}"), 0.01, 0.05, start_attempts=1)
            request[context.CONTEXT] = context.Context("id", execution_id=id_, result=answer, start_attempts=1)
            requests.append(request)

    app.router.add_post("/event", handle)
    requests: list[web.Request] = []
    run(prepare(requests))
    benchmark(lambda: run(finish(requests)))
    assert metrics.recent_overheads, "telemetry failed"

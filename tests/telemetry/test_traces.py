"""The spans of a request in OpenTelemetry, and the service without OpenTelemetry."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from structlog.testing import capture_logs

from service.local import LocalAws
from service.telemetry import otel, traces
from tests.support.front import NAMES, Front, front
from tests.support.processes import service
from tests.support.step_functions import error

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
ROOT = f"Root=1-{TRACE[:8]}-{TRACE[8:]}"


class Written:
    """The spans that were exported."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.traces = otel.Traces(provider)

    def __call__(self, kind: SpanKind) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.kind is kind]


@asynccontextmanager
async def traced(**options: Any) -> AsyncIterator[tuple[Front, Written]]:
    written = Written()
    async with front(traces=written.traces, **options) as it:
        yield it, written
    await written.traces.aclose()


def ids(span: ReadableSpan) -> tuple[str, str]:
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


def parent(span: ReadableSpan) -> str | None:
    return None if span.parent is None else f"{span.parent.span_id:016x}"


def propagated(it: Front) -> str:
    """Return the trace header of the StartExecution call."""
    (call,) = [call for action, call in it.stage.endpoint.calls if action == "StartExecution"]
    header: str = call["traceHeader"]
    return header


async def test_a_request_is_a_span_in_its_callers_trace_with_its_start_as_a_child() -> None:
    async with traced() as (it, written):
        headers = {"traceparent": TRACEPARENT, "tracestate": "vendor=x"}
        with capture_logs() as logs:
            response = await it.post_and_reply({"nome completo": "x"}, headers=headers)
        body = await response.json()
        (server,), (client,) = written(SpanKind.SERVER), written(SpanKind.CLIENT)
        assert (ids(server)[0], parent(server)) == (TRACE, PARENT)
        assert server.context.trace_state.to_header() == "vendor=x"
        assert (ids(client)[0], parent(client)) == (TRACE, ids(server)[1])
        # The execution belongs to the call that started it.
        assert propagated(it) == f"{ROOT};Parent={ids(client)[1]};Sampled=1"
        assert (server.name, server.status.status_code) == ("POST /event", StatusCode.UNSET)
        assert dict(server.attributes or {}) == {
            "http.request.method": "POST",
            "http.route": "/event",
            "http.response.status_code": 200,
            "sync_front.outcome": "succeeded",
            "sync_front.execution_id": body["id"],
        }
        assert dict(client.attributes or {}) == {
            "rpc.system": "aws-api",
            "rpc.service": "SFN",
            "rpc.method": "StartExecution",
            "sync_front.start_attempts": 1,
        }
        assert None not in (server.start_time, client.start_time, client.end_time, server.end_time)
        times = [server.start_time or 0, client.start_time or 0, client.end_time or 0, server.end_time or 0]
        assert times == sorted(times)
        assert [line["trace_id"] for line in logs] == [TRACE]


@pytest.mark.parametrize("given", [f"{ROOT};Parent={PARENT};Sampled=1", ROOT, f"Self=1-x-y;{ROOT};Sampled=?"])
async def test_the_trace_of_an_x_ray_header_is_continued(given: str) -> None:
    async with traced() as (it, written):
        await it.post_and_reply({}, headers={"X-Amzn-Trace-Id": given})
        (server,) = written(SpanKind.SERVER)
        assert ids(server)[0] == TRACE
        assert parent(server) == (PARENT if "Parent" in given else TRACE[-16:])
        assert propagated(it).startswith(f"{ROOT};Parent=")


async def test_without_a_trace_one_is_begun_propagated_and_logged() -> None:
    async with traced() as (it, written):
        with capture_logs() as logs:
            await it.post_and_reply({}, headers={"traceparent": "nonsense", "tracestate": "vendor=x"})
        (server,), (client,) = written(SpanKind.SERVER), written(SpanKind.CLIENT)
        trace_id = ids(server)[0]
        assert parent(server) is None
        assert propagated(it) == f"Root=1-{trace_id[:8]}-{trace_id[8:]};Parent={ids(client)[1]};Sampled=1"
        assert [line["trace_id"] for line in logs] == [trace_id]


async def test_an_unsampled_trace_is_propagated_but_not_exported() -> None:
    async with traced() as (it, written):
        await it.post_and_reply({}, headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
        assert written.exporter.get_finished_spans() == ()
        assert propagated(it).startswith(ROOT)
        assert propagated(it).endswith("Sampled=0")


async def test_the_spans_of_a_failed_start_and_its_request_name_the_problem() -> None:
    async with traced(timeout=1.5) as (it, written):
        it.stage.endpoint.script("StartExecution", error("AccessDeniedException"))
        await it.problem("POST", "/event", 503, "refused", json=NAMES)
        for span in written.exporter.get_finished_spans():
            assert span.status.status_code is StatusCode.ERROR
            assert (span.attributes or {})["error.type"] == "refused"
        assert len(written.exporter.get_finished_spans()) == 2


async def test_a_request_without_a_start_has_no_client_span_and_a_4xx_no_error() -> None:
    async with traced() as (it, written):
        it.stage.channel.go_down(since=60)
        await it.problem("POST", "/event", 503, "link-down", json=NAMES)
        await it.problem("POST", "/event", 415, "not-json", data="{")
        async with it.client.get("/private-path") as response:
            assert response.status == 404
        assert written(SpanKind.CLIENT) == []
        refused, wrong, nowhere = written(SpanKind.SERVER)
        assert refused.status.status_code is StatusCode.ERROR
        assert wrong.status.status_code is nowhere.status.status_code is StatusCode.UNSET
        assert "private" not in nowhere.to_json()


async def test_probes_have_no_spans() -> None:
    async with traced() as (it, written):
        for path in ("/healthz", "/readyz", "/metrics"):
            await it.client.get(path)
        assert written.exporter.get_finished_spans() == ()


async def test_spans_reach_the_configured_endpoint_before_the_service_ends() -> None:
    arrived: list[ExportTraceServiceRequest] = []

    async def take(request: web.Request) -> web.Response:
        arrived.append(ExportTraceServiceRequest.FromString(await request.read()))
        return web.Response()

    collector = web.Application()
    collector.router.add_post("/v1/traces", take)
    async with (
        TestServer(collector) as server,
        LocalAws(port=0, wait=0) as aws,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http,
    ):
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": str(server.make_url("/")).rstrip("/"), "SERVICE_NAME": "other-front"}
        async with service(aws, **env) as (process, url):
            async with http.post(f"{url}/event", json=NAMES, headers={"traceparent": TRACEPARENT}) as response:
                assert response.status == 200
            await process.end()
            assert [line for line in process.logs if line["level"] != "info"] == []
    (resource,) = [spans for request in arrived for spans in request.resource_spans]
    names = {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}
    (started,) = [line for line in process.logs if line["event"] == "started"]
    assert (names["service.name"], names["service.instance.id"]) == ("other-front", started["instance"])
    spans = [span for scope in resource.scope_spans for span in scope.spans]
    assert {span.name for span in spans} == {"POST /event", "SFN.StartExecution"}
    assert {span.trace_id.hex() for span in spans} == {TRACE}


async def test_an_unreachable_collector_delays_neither_requests_nor_the_shutdown() -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    async with (
        LocalAws(port=0, wait=0) as aws,
        service(aws, **env) as (process, url),
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http,
    ):
        async with http.post(f"{url}/event", json=NAMES) as response:
            assert response.status == 200
        began = asyncio.get_running_loop().time()
        await process.end()
        assert asyncio.get_running_loop().time() - began < otel.CLOSE_TIMEOUT_S + 7
        assert process.logs[-1]["event"] != "unexpected_error"


def test_without_an_endpoint_opentelemetry_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in traces._ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    assert traces.from_environment("front", "i") is None
    script = "import sys, service.app.cli; print([name for name in sys.modules if name.startswith('opentelemetry')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_an_endpoint_without_the_extra_logs_a_warning() -> None:
    script = """
import sys
sys.modules["opentelemetry"] = None
from service.telemetry import logs, traces
logs.configure("INFO", "json")
assert traces.from_environment("front", "i") is None
"""
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True, env=env
    )
    (line,) = map(json.loads, done.stderr.splitlines())
    assert (line["event"], line["level"]) == ("traces_unavailable", "warning")

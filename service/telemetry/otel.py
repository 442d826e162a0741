"""Traces by OpenTelemetry: a server span for each request, with a client span for StartExecution.

This needs the extra `otel`. Names and attributes are those of OpenTelemetry's "Semantic conventions" for HTTP servers
and for RPC clients. They never contain a path, an argument or a header.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

CLOSE_TIMEOUT_S: Final = 3.0
"""Seconds that sending the last spans may take when the service stops."""

_HEADER: Final = re.compile(
    r"Root=1-(?P<epoch>[0-9a-f]{8})-(?P<unique>[0-9a-f]{24})(;Parent=(?P<parent>[0-9a-f]{16}))?(;Sampled=(?P<sampled>.))?"
)


def exported_traces(service: str, instance: str) -> Traces:
    """Return traces that are exported over HTTP to the endpoint that OpenTelemetry's variables name."""
    names = {"service.instance.id": instance}
    if "OTEL_SERVICE_NAME" not in os.environ:
        names["service.name"] = service
    provider = TracerProvider(resource=Resource.create(names), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Traces(provider)


class Traces:
    """Traces written by a provider of OpenTelemetry's SDK."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("sync-front")

    def begin(self, method: str, route: str, headers: Mapping[str, str], trace_header: str | None) -> RequestTrace:
        """See `service.telemetry.traces`."""
        span = self._tracer.start_span(
            f"{method} {route}",
            _parent(trace_header, headers.get("tracestate") if "traceparent" in headers else None),
            SpanKind.SERVER,
            {"http.request.method": method, "http.route": route},
        )
        return RequestTrace(self._tracer, span)

    async def aclose(self) -> None:
        """See `service.telemetry.traces`."""
        # In a thread that ends with the process, because the SDK waits longer than this for an endpoint that is gone.
        thread = threading.Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, CLOSE_TIMEOUT_S)


class RequestTrace:
    """The spans of one request."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span
        self._start_span: Span | None = None
        self._started_at = 0

    def begin_start_execution_span(self) -> str:
        """See `service.telemetry.traces`."""
        self._started_at = time.time_ns()
        self._start_span = self._tracer.start_span(
            "SFN.StartExecution",
            trace.set_span_in_context(self._span),
            SpanKind.CLIENT,
            {"rpc.system": "aws-api", "rpc.service": "SFN", "rpc.method": "StartExecution"},
            start_time=self._started_at,
        )
        return _header(self._start_span.get_span_context())

    def end(
        self, *, status: int, outcome: str, execution_id: str | None, start: float | None, start_attempts: int
    ) -> None:
        """See `service.telemetry.traces`."""
        # If another request had started the execution, nothing was sent and the span is dropped. If the caller left, it
        # is unknown whether something was sent; the span is kept, because the execution may name it as its parent.
        span = self._start_span
        if span is not None and (start_attempts or outcome == "client-disconnected"):
            span.set_attribute("sync_front.start_attempts", start_attempts)
            if start is None:
                _fail(span, outcome)
                span.end()
            else:
                span.end(self._started_at + int(start * 1e9))
        self._span.set_attribute("http.response.status_code", status)
        self._span.set_attribute("sync_front.outcome", outcome)
        if execution_id is not None:
            self._span.set_attribute("sync_front.execution_id", execution_id)
        if status >= 500:
            _fail(self._span, outcome)
        self._span.end()


def _fail(span: Span, outcome: str) -> None:
    span.set_attribute("error.type", outcome)
    span.set_status(StatusCode.ERROR)


def _parent(trace_header: str | None, tracestate: str | None) -> Context | None:
    """Return the context of the parent span; None to begin a new trace."""
    match = _HEADER.fullmatch(trace_header or "")
    if match is None:
        return None
    unique = match["unique"]
    # A load balancer names a trace without a span in it; a made-up parent keeps the trace together.
    parent = match["parent"] or unique[-16:]
    context = SpanContext(
        int(match["epoch"] + unique, 16),
        int(parent, 16) or 1,
        is_remote=True,
        # A caller that leaves the decision to us gets everything sampled.
        trace_flags=TraceFlags(0 if match["sampled"] == "0" else TraceFlags.SAMPLED),
        trace_state=TraceState.from_header([tracestate]) if tracestate else None,
    )
    return trace.set_span_in_context(NonRecordingSpan(context))


def _header(context: SpanContext) -> str:
    trace_id = f"{context.trace_id:032x}"
    sampled = int(context.trace_flags.sampled)
    return f"Root=1-{trace_id[:8]}-{trace_id[8:]};Parent={context.span_id:016x};Sampled={sampled}"

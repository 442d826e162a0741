"""The interface of traces, for use whether OpenTelemetry is installed or not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Protocol

import structlog

if TYPE_CHECKING:
    from collections.abc import Mapping

log = structlog.get_logger(__name__)

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class RequestTrace(Protocol):
    """The spans of one request."""

    def begin_start_execution_span(self) -> str:
        """Begin the span of the StartExecution call; return the X-Ray trace header to send with it."""

    def end(
        self,
        *,
        status: int,
        outcome: str,
        execution_id: str | None,
        start: float | None,
        start_attempts: int,
    ) -> None:
        """End the request's spans; `start` is the seconds that StartExecution took, None if it did not succeed."""


class Traces(Protocol):
    """A destination of traces."""

    def begin(self, method: str, route: str, headers: Mapping[str, str], trace_header: str | None) -> RequestTrace:
        """Begin a request's span, in the trace that the X-Ray `trace_header` names, if any."""

    async def aclose(self) -> None:
        """Send the remaining spans, within seconds."""


def from_environment(service: str, instance: str) -> Traces | None:
    """Return the traces that OpenTelemetry's own variables configure; None if they name no endpoint.

    Without an endpoint OpenTelemetry is not even loaded, so that it costs nothing.
    """
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        return None
    try:
        from service.telemetry import otel  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        log.warning("traces_unavailable", missing=error.name)
        return None
    return otel.exported_traces(service, instance)

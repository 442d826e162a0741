"""Traces: what the rest of the service knows of them, whether OpenTelemetry is installed or not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Protocol

import structlog

if TYPE_CHECKING:
    from collections.abc import Mapping

log = structlog.get_logger(__name__)

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class RequestTrace(Protocol):
    """The part of a trace that is about one request."""

    def start_execution(self) -> str:
        """Begin the call of StartExecution; return its X-Ray trace header."""

    def end(
        self,
        *,
        status: int,
        outcome: str,
        execution_id: str | None,
        start: float | None,
        start_attempts: int,
    ) -> None:
        """End the request; `start` is how many seconds StartExecution took, None if it came to nothing."""


class Traces(Protocol):
    """Where traces are written."""

    def begin(self, method: str, route: str, headers: Mapping[str, str], trace_header: str | None) -> RequestTrace:
        """Begin a request, as part of the trace that the X-Ray `trace_header` names, if any."""

    async def aclose(self) -> None:
        """Send what is left, within seconds."""


def from_environment(service: str, instance: str) -> Traces | None:
    """Return where traces are to be sent, as OpenTelemetry's own variables say; None if nowhere.

    Nothing of OpenTelemetry is loaded unless an endpoint is named, so that without one it costs nothing.
    """
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        return None
    try:
        from service.telemetry import otel  # noqa: PLC0415 - an extra, which need not be installed
    except ImportError as error:
        log.warning("traces_unavailable", missing=error.name)
        return None
    return otel.exporting(service, instance)

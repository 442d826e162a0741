"""Structured logs on standard error: JSON lines, or text for a terminal. Libraries' own records take the same form."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import TYPE_CHECKING, Literal

import orjson
import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger


def configure(level: str, form: Literal["json", "console"]) -> None:
    """Send all logs of `level` and above to standard error."""
    shared = processors()
    renderer: Processor
    if form == "json":
        renderer = structlog.processors.JSONRenderer(serializer=_dumps)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    number = logging.getLevelNamesMapping()[level]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    # Libraries are heard from warnings on: their finer records repeat requests and headers, keys included.
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    # With no file left asyncio says so for each connection in the backlog, over and over.
    logging.getLogger("asyncio").addFilter(_OncePerSecond("socket.accept() out of system resource"))
    # aiohttp's server quotes what it could not parse of a request; the caller gets a 400 all the same.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    # OpenTelemetry quotes what it could not read of a caller's `tracestate`.
    logging.getLogger("opentelemetry.trace.span").setLevel(logging.CRITICAL)


def processors() -> list[Processor]:
    """Return what every record goes through, whoever makes it and in whatever form it is written."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _exception_without_text,
        _without_nothing,
    ]


class _OncePerSecond(logging.Filter):
    """Lets one record that begins with this message through each second."""

    def __init__(self, message: str) -> None:
        super().__init__()
        self._message = message
        self._next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is to be logged."""
        if not str(record.msg).startswith(self._message):
            return True
        due = record.created >= self._next
        if due:
            self._next = record.created + 1.0
        return due


def _without_nothing(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Leave out fields that do not apply."""
    return {name: value for name, value in event.items() if value is not None and value != ""}


def _dumps(event: EventDict, **_: object) -> str:
    return orjson.dumps(event, default=str).decode()


def _exception_without_text(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace an exception by its type and where it was raised: its text may quote a body, a name or a key."""
    found = event.pop("exc_info", None)
    error = sys.exc_info()[1] if found is True else found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        event["exception"] = type(error).__qualname__
        event["frames"] = [
            f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)[-10:]
        ]
    return event

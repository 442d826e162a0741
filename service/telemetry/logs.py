"""Structured logs on standard error: JSON lines, or text for a terminal, for libraries' own records too."""

from __future__ import annotations

import atexit
import logging
import sys
import traceback
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TextIO

import orjson
import structlog

from service.appsync.throttle import Throttle
from service.telemetry.sampling import Sampler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from structlog.typing import EventDict, Processor, WrappedLogger

log = structlog.get_logger(__name__)


def configure(level: str, form: Literal["json", "console"]) -> None:
    """Send all logs of `level` and above to standard error, sampled by their kind."""
    shared = processors()
    renderer: Processor
    if form == "json":
        renderer = structlog.processors.JSONRenderer(serializer=_dumps)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    number = logging.getLevelNamesMapping()[level]
    sampler = Sampler(_log_suppressed)
    atexit.register(sampler.flush)
    structlog.configure(
        processors=[_safe([partial(_sample, sampler), *shared, renderer])],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = _Handler(sys.stderr)
    handler.addFilter(lambda record: sampler.allows(f"{record.name}:{record.lineno}"))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    # Libraries log warnings and above only: their lower levels repeat requests and headers, keys included.
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    # When no file descriptor is left, asyncio logs that over and over, for each connection in the backlog.
    logging.getLogger("asyncio").addFilter(_OncePerSecond("socket.accept() out of system resource"))
    # aiohttp's server quotes the part of a request that it could not parse; the caller gets a 400 anyway.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    # The SDK logs each failed renewal of credentials, with its stack; service.app.credentials says it once a minute.
    logging.getLogger("aiobotocore.credentials").setLevel(logging.CRITICAL)
    # OpenTelemetry quotes the part of a caller's `tracestate` that it could not parse.
    logging.getLogger("opentelemetry.trace.span").setLevel(logging.CRITICAL)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes the records of libraries."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name that logging calls
        """Log which library had a record that cannot be formatted; logging itself would print its arguments."""
        log.warning("log_line_failed", logger=record.name)


def _safe(chain: list[Processor]) -> Processor:
    """Return a processor that runs a chain of them and never raises: a log line must not cost a response."""

    def process(logger: WrappedLogger, method: str, event: EventDict) -> Any:
        name, processed = str(event.get("event")), event
        try:
            for processor in chain:
                processed = processor(logger, method, processed)  # type: ignore[assignment]  # only the last returns a str
        except Exception as error:  # noqa: BLE001 - whatever a field is made of
            return _dumps(
                {"event": "log_line_failed", "level": "warning", "line": name, "exception": type(error).__name__}
            )
        return processed

    return process


def _sample(sampler: Sampler, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Drop a line if there are too many of its kind in this second: a stranger may cause thousands."""
    # Lines of requests have been sampled by their outcome.
    if event["event"] != "request" and not sampler.allows(_kind(event)):
        raise structlog.DropEvent
    return event


def _kind(event: EventDict) -> str:
    return " ".join(str(event[name]) for name in ("event", "status", "problem") if event.get(name))


def _log_suppressed(counts: Mapping[str, int]) -> None:
    log.info("lines_suppressed", count=sum(counts.values()), kinds=dict(counts))


def processors() -> list[Processor]:
    """Return the processors of every record, whatever logs it and in whatever form it is written."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _replace_exception,
        _drop_empty_fields,
    ]


class _OncePerSecond(logging.Filter):
    """Allows one record per second that begins with this message, and all others."""

    def __init__(self, message: str) -> None:
        super().__init__()
        self._message = message
        self._throttle = Throttle(1.0)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log the record."""
        if not str(record.msg).startswith(self._message):
            return True
        return self._throttle.admit(self._message, record.created) is not None


def _drop_empty_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Leave out fields that do not apply."""
    return {name: value for name, value in event.items() if value is not None and value != ""}


def _dumps(event: EventDict, **_: object) -> str:
    return orjson.dumps(event, default=str).decode()


def _replace_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace an exception by its type and its stack: its text may quote a body, a name or a key."""
    found = event.pop("exc_info", None)
    error = sys.exc_info()[1] if found is True else found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        event["exception"] = type(error).__qualname__
        event["frames"] = [
            f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)[-10:]
        ]
    return event

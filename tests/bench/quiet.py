"""The service with nothing told of requests: `python -m tests.bench.quiet serve`, to see what telling costs.

Neither metrics nor log lines nor a trace are made of a request; everything else is the service as it is.
"""

from __future__ import annotations

import asyncio
import sys

from service.app.cli import main
from service.telemetry.metrics import Metrics
from service.web import middleware


async def _watch_nothing(_metrics: Metrics) -> None:
    await asyncio.Event().wait()


if __name__ == "__main__":
    for part in ("_begin_trace", "_end"):
        if not hasattr(middleware, part):
            raise SystemExit(f"the service has no {part} any more: this measures nothing")
        setattr(middleware, part, lambda *_arguments, **_more: None)
    setattr(Metrics, "watch_loop", _watch_nothing)  # noqa: B010 - to the type checker it is another method
    sys.exit(main())

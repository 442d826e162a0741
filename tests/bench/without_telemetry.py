"""The service without telemetry, which shows what telemetry costs: `python -m tests.bench.without_telemetry serve`.

Requests get no metrics, no log lines and no traces. Everything else is the service as it is.
"""

from __future__ import annotations

import asyncio
import sys

from service.app.cli import main
from service.telemetry.metrics import Metrics
from service.web import middleware


async def _sleep_forever(_metrics: Metrics) -> None:
    await asyncio.Event().wait()


if __name__ == "__main__":
    for part in ("_begin_trace", "_end"):
        if not hasattr(middleware, part):
            raise SystemExit(f"{part} is not in the middleware any more, so this benchmark needs an update")
        setattr(middleware, part, lambda *_arguments, **_more: None)
    setattr(Metrics, "watch_loop", _sleep_forever)  # noqa: B010 - the type checker rejects an assignment to a method
    sys.exit(main())

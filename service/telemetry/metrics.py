"""What is counted and timed of each request, and of the event loop; names follow the Prometheus conventions.

Everything that a part of the service knows anyway is not counted here but read from it when somebody asks
(`service.app.collector`), which costs a request nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from prometheus_client import CollectorRegistry, Counter

from service.telemetry.histogram import Histogram

WAIT_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 12.5, 15, 20, 25, 30, 60)
CALL_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
OVERHEAD_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)

LAG_EVERY: Final = 0.5
"""Seconds between two looks at how late the event loop is."""

RECENT: Final = 2000
"""Overheads and lags that are kept for CloudWatch: of the lags, all of a quarter of an hour."""


class Metrics:
    """The instruments, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._requests = Counter(
            "sync_front_requests",
            "Requests that ended, by operation (start, read, stop) and outcome (succeeded, running, stopped, or the "
            "slug of the problem).",
            ["operation", "outcome"],
            registry=self.registry,
        )
        self._wait = Histogram(
            "sync_front_request_duration_seconds",
            "How long POST requests took from their first byte to their answer.",
            WAIT_BUCKETS,
        )
        self._start = Histogram(
            "sync_front_start_execution_duration_seconds",
            "How long it took until Step Functions had taken an execution, repeated tries included.",
            CALL_BUCKETS,
        )
        self._workflow = Histogram(
            "sync_front_workflow_duration_seconds",
            "How long the execution took from then to its outcome.",
            WAIT_BUCKETS,
        )
        self._overhead = Histogram(
            "sync_front_bridge_overhead_seconds",
            "What a request with a result took beyond its start and its workflow: the service's own share.",
            OVERHEAD_BUCKETS,
        )
        self._lag = Histogram(
            "sync_front_event_loop_lag_seconds",
            "How much later than asked for the event loop came back, twice a second.",
            OVERHEAD_BUCKETS,
        )
        for histogram in (self._wait, self._start, self._workflow, self._overhead, self._lag):
            self.registry.register(histogram)
        self._children: dict[tuple[str, str], Counter] = {}
        self.recent_overheads: deque[float] = deque(maxlen=RECENT)
        self.recent_lags: deque[float] = deque(maxlen=RECENT)

    def ended(self, operation: str, outcome: str) -> None:
        """Count a request that has ended."""
        child = self._children.get((operation, outcome))
        if child is None:
            child = self._children[operation, outcome] = self._requests.labels(operation, outcome)
        child.inc()

    def answered(self, total: float, start: float | None, workflow: float | None, waited: float) -> None:
        """Time a POST that was answered; all in seconds, None for what did not happen.

        `waited` is how much of the workflow's time it waited for; the rest had passed when it joined the execution.
        """
        self._wait.observe(total)
        if start is None:
            return
        self._start.observe(start)
        if workflow is not None:
            self._workflow.observe(workflow)
            overhead = max(0.0, total - start - waited)
            self._overhead.observe(overhead)
            self.recent_overheads.append(overhead)

    def take_recent(self, histogram: str) -> list[float]:
        """Return the last values that this histogram was given, in seconds, and forget them."""
        recent = {
            "sync_front_bridge_overhead_seconds": self.recent_overheads,
            "sync_front_event_loop_lag_seconds": self.recent_lags,
        }[histogram]
        values = list(recent)
        recent.clear()
        return values

    async def watch_loop(self) -> None:
        """Time the event loop itself, for ever."""
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + LAG_EVERY
            await asyncio.sleep(LAG_EVERY)
            lag = max(0.0, clock() - due)
            self._lag.observe(lag)
            self.recent_lags.append(lag)

"""Metrics of requests and of the event loop, named by the Prometheus conventions.

Numbers that other parts of the service keep anyway are not counted here. They are read when the metrics are scraped
(`service.app.collector`), which adds nothing to the cost of a request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

DURATION_BUCKETS_S: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 12.5, 15, 20, 25, 30, 60)
CALL_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
OVERHEAD_BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)

LAG_INTERVAL_S: Final = 0.5
"""Seconds between two measurements of the event loop's lag."""

MAX_ERROR_NAMES: Final = 50
"""Values of the label `error`: a name may contain a number that is different each time."""

OTHER: Final = "other"
"""The label of all further names."""

UNNAMED: Final = "unnamed"
"""The label of errors without a name."""

MAX_RECENT_VALUES: Final = 2000
"""Overheads and lags that are kept for EMF; for lags, a quarter of an hour of them."""


class Metrics:
    """The counters and histograms, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._requests = Counter(
            "sync_front_requests",
            "Finished requests, by operation (start, read, stop) and outcome (succeeded, running, stopped, or the "
            "problem's slug).",
            ["operation", "outcome"],
            registry=self.registry,
        )
        self._duration = Histogram(
            "sync_front_request_duration_seconds",
            "Duration of POST requests, from the first byte to the response.",
            buckets=DURATION_BUCKETS_S,
            registry=self.registry,
        )
        self._start = Histogram(
            "sync_front_start_execution_duration_seconds",
            "Duration of StartExecution, retries included.",
            buckets=CALL_BUCKETS_S,
            registry=self.registry,
        )
        self._workflow = Histogram(
            "sync_front_workflow_duration_seconds",
            "Time from the start of an execution to its outcome.",
            buckets=DURATION_BUCKETS_S,
            registry=self.registry,
        )
        self._overhead = Histogram(
            "sync_front_bridge_overhead_seconds",
            "Time that a request with a result took beyond its start and its workflow: the service's own share.",
            buckets=OVERHEAD_BUCKETS_S,
            registry=self.registry,
        )
        self._lag = Histogram(
            "sync_front_event_loop_lag_seconds",
            "Delay of timers on the event loop, measured twice a second.",
            buckets=OVERHEAD_BUCKETS_S,
            registry=self.registry,
        )
        self._workflow_errors = Counter(
            "sync_front_workflow_errors",
            "Responses about failed executions, by the error's name as in the record: the first 50, then `other`.",
            ["error"],
            registry=self.registry,
        )
        self._error_names: set[str] = set()
        self._children: dict[tuple[str, str], Counter] = {}
        self.recent_overheads: deque[float] = deque(maxlen=MAX_RECENT_VALUES)
        """Overheads since the last `take_recent`, in seconds."""
        self.recent_lags: deque[float] = deque(maxlen=MAX_RECENT_VALUES)
        """Lags since the last `take_recent`, in seconds."""

    def ended(self, operation: str, outcome: str) -> None:
        """Count a finished request."""
        child = self._children.get((operation, outcome))
        if child is None:
            child = self._children[operation, outcome] = self._requests.labels(operation, outcome)
        child.inc()

    def workflow_failed(self, error: str) -> None:
        """Count a response about an execution that failed with `error`, a name of any text."""
        name = error or UNNAMED
        if name not in self._error_names:
            if len(self._error_names) >= MAX_ERROR_NAMES:
                name = OTHER
            else:
                self._error_names.add(name)
        self._workflow_errors.labels(name).inc()

    def responded(self, total: float, start: float | None, workflow: float | None, waited: float) -> None:
        """Record the durations of a POST that got a response, in seconds; None for steps that did not happen.

        `waited` is the part of the workflow's time that the request waited for. The rest had passed before it joined
        the execution.
        """
        self._duration.observe(total)
        if start is None:
            return
        self._start.observe(start)
        if workflow is not None:
            self._workflow.observe(workflow)
            overhead = max(0.0, total - start - waited)
            self._overhead.observe(overhead)
            self.recent_overheads.append(overhead)

    def take_recent(self, histogram: str) -> list[float]:
        """Return the values of this histogram since the last call, in seconds, and clear them."""
        recent = {
            "sync_front_bridge_overhead_seconds": self.recent_overheads,
            "sync_front_event_loop_lag_seconds": self.recent_lags,
        }[histogram]
        values = list(recent)
        recent.clear()
        return values

    async def watch_loop(self) -> None:
        """Measure the event loop's lag until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + LAG_INTERVAL_S
            await asyncio.sleep(LAG_INTERVAL_S)
            lag = max(0.0, clock() - due)
            self._lag.observe(lag)
            self.recent_lags.append(lag)

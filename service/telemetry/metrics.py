"""Metrics of requests and of the event loop, named by the Prometheus conventions.

Numbers that other parts of the service keep anyway are not counted here. They are read when the metrics are scraped
(`service.app.collector`), which adds nothing to the cost of a request.
"""

from __future__ import annotations

import asyncio
import platform
from collections import deque
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Info, disable_created_metrics

from service import __version__
from service.telemetry.histograms import Histogram
from service.telemetry.process import ProcessCollector

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from service.telemetry.histograms import Series

# They would double the number of series, and Prometheus does not use them.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations

_DECADE: Final = (
    *(1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.75, 1.9, 2, 2.2, 2.4, 2.6, 2.8, 3, 3.3, 3.6, 3.9, 4.2, 4.6),
    *(5, 5.5, 6, 6.5, 7, 7.5, 8, 8.5, 9.2),
)
"""Bounds of which none is more than 10 % above the one before."""

DURATION_BUCKETS_S: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(round(step * scale, 3) for scale in (0.1, 1, 10) for step in _DECADE if step * scale <= 60),
    *(75, 90, 120, 180, 300, 600, 900),
)
"""Fine from 0.1 s to a minute, as long as most workflows take: a quantile is then at most 10 % off."""

CALL_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
OVERHEAD_BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)

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
        self.registry.register(ProcessCollector())
        build = Info("sync_front_build", "The version of the service, and of Python.", registry=self.registry)
        build.info({"version": __version__, "python": platform.python_version()})
        self._requests = Counter(
            "sync_front_requests",
            "Finished requests, by workflow, operation (start, read, retry, stop) and outcome (succeeded, running, "
            "stopped, ended, or the problem's slug).",
            ["workflow", "operation", "outcome"],
            registry=self.registry,
        )
        self._duration = self._histogram(
            "sync_front_request_duration_seconds",
            "Duration of POST requests, from the first byte to the response.",
            DURATION_BUCKETS_S,
        )
        self._start = self._histogram(
            "sync_front_start_execution_duration_seconds",
            "Duration of StartExecution, retries included.",
            CALL_BUCKETS_S,
        )
        self._workflow_durations = Histogram(
            "sync_front_workflow_duration_seconds",
            "Time from the start of an execution to its outcome, by workflow.",
            DURATION_BUCKETS_S,
            self.registry,
            ["workflow"],
        )
        self._overhead = self._histogram(
            "sync_front_bridge_overhead_seconds",
            "Time that a request with a result took beyond its start and its workflow: the service's own share.",
            OVERHEAD_BUCKETS_S,
        )
        self._lag = self._histogram(
            "sync_front_event_loop_lag_seconds",
            "Delay of timers on the event loop, measured twice a second.",
            OVERHEAD_BUCKETS_S,
        )
        self._workflow_errors = Counter(
            "sync_front_workflow_errors",
            "Responses about failed executions, by workflow and the error's name as in the record: the first 50, then "
            "`other`.",
            ["workflow", "error"],
            registry=self.registry,
        )
        self._error_names: set[str] = set()
        self._children: dict[tuple[str, str, str], Counter] = {}
        self.recent_overheads: deque[float] = deque(maxlen=MAX_RECENT_VALUES)
        """Overheads since the last `take_recent`, in seconds."""
        self.recent_lags: deque[float] = deque(maxlen=MAX_RECENT_VALUES)
        """Lags since the last `take_recent`, in seconds."""

    def _histogram(self, name: str, documentation: str, bounds: Sequence[float]) -> Series:
        return Histogram(name, documentation, bounds, self.registry).series()

    def expect(self, workflow: str, outcomes: Mapping[str, Iterable[str]]) -> None:
        """Export what may happen to requests for a workflow before it does, by operation and outcome.

        Of a series that begins with 1, Prometheus sees no increase.
        """
        for operation, names in outcomes.items():
            for outcome in names:
                self._children[workflow, operation, outcome] = self._requests.labels(workflow, operation, outcome)
        for name in (UNNAMED, OTHER):
            self._workflow_errors.labels(workflow, name)
        self._workflow_durations.series(workflow)

    def ended(self, workflow: str, operation: str, outcome: str) -> None:
        """Count a finished request."""
        child = self._children.get((workflow, operation, outcome))
        if child is None:
            labels = (workflow, operation, outcome)
            child = self._children[labels] = self._requests.labels(*labels)
        child.inc()

    def workflow_failed(self, workflow: str, error: str) -> None:
        """Count a response about an execution that failed with `error`, a name of any text."""
        name = error or UNNAMED
        if name not in self._error_names:
            if len(self._error_names) >= MAX_ERROR_NAMES:
                name = OTHER
            else:
                self._error_names.add(name)
        self._workflow_errors.labels(workflow, name).inc()

    def responded(
        self, workflow: str, total: float, start: float | None, duration: float | None, waited: float
    ) -> None:
        """Record the times of a POST that got a response, in seconds; None for steps that did not happen.

        `start` is how long StartExecution took, and `duration` how long the execution ran. `waited` is the part of that
        for which the request waited; the rest had passed before it joined the execution.
        """
        self._duration.observe(total)
        if start is None:
            return
        self._start.observe(start)
        if duration is not None:
            self._workflow_durations.series(workflow).observe(duration)
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

"""A writer of metrics in CloudWatch's Embedded Metric Format (EMF): JSON lines on standard output, without an agent.

CloudWatch Logs extracts metrics from such lines by itself ("Specification: Embedded metric format", Amazon CloudWatch
User Guide). They are read from the registry that Prometheus scrapes, so they add nothing to the cost of a request.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from service.errors import AtCapacity, CallerUnknown, Draining, Throttled, Unavailable
from service.telemetry.guard import guarded

if TYPE_CHECKING:
    from collections.abc import Collection

    from prometheus_client import Metric

    from service.telemetry.metrics import Metrics

NAMESPACE: Final = "SyncFront"
DIMENSION: Final = "service"
"""The only dimension: its value is the same for all instances, so that CloudWatch aggregates over all of them."""

MAX_VALUES_PER_METRIC: Final = 100
"""Values that one metric may have in one line."""

REJECTED_OUTCOMES: Final = frozenset(kind.slug for kind in Unavailable.__subclasses__())
"""The outcomes that callers see as 503."""

FAULT_OUTCOMES: Final = {
    "unexpected",
    CallerUnknown.slug,
    *REJECTED_OUTCOMES - {AtCapacity.slug, Draining.slug, Throttled.slug},
}
"""The outcomes for which a release may be to blame: internal errors, a gateway that does not fit, and 503 for another
reason than load or a quota.

A failed workflow is none of them, however often its result is read.
"""


class EmfMetric(NamedTuple):
    """A metric in EMF, and the Prometheus metric that it is read from.

    A counter is written as its increase since the last line, a gauge as its value, and a histogram of seconds as a list
    of single values in milliseconds.
    """

    emf: str
    """Its name in EMF."""
    prometheus: str
    """The name of the Prometheus metric."""
    outcomes: Collection[str] | None = None
    """The values of the label `outcome` that count; None for all."""


EMF_METRICS: Final = (
    EmfMetric("RequestsInFlight", "sync_front_requests_in_flight"),
    EmfMetric("MaxInFlight", "sync_front_requests_in_flight_limit"),
    EmfMetric("Requests", "sync_front_requests"),
    EmfMetric("Rejected", "sync_front_requests", REJECTED_OUTCOMES),
    EmfMetric("Faults", "sync_front_requests", FAULT_OUTCOMES),
    EmfMetric("LinkUp", "sync_front_link_up"),
    EmfMetric("Reconnects", "sync_front_link_reconnects"),
    EmfMetric("Recovered", "sync_front_recovered"),
    EmfMetric("ThrottledCalls", "sync_front_throttled_calls"),
    EmfMetric("BridgeOverheadMilliseconds", "sync_front_bridge_overhead_seconds"),
    EmfMetric("EventLoopLagMilliseconds", "sync_front_event_loop_lag_seconds"),
    EmfMetric("Draining", "sync_front_draining"),
)
"""The metrics that the infrastructure's scaling, alarms and dashboard use; CloudWatch charges for each one."""


class EmfWriter:
    """Writes the metrics of one instance of `service`."""

    def __init__(self, metrics: Metrics, service: str) -> None:
        self._metrics = metrics
        self._service = service
        self._counted: dict[str, float] = {}

    async def run(self, interval: float) -> None:
        """Write a line every `interval` seconds until cancelled."""
        clock = asyncio.get_running_loop().time
        due = clock() + interval
        while True:
            await asyncio.sleep(due - clock())
            self.write()
            due = max(due + interval, clock())  # without drift, or a minute might have no value

    @guarded
    def write(self) -> None:
        """Write one line."""
        sys.stdout.write(self.line(time.time()) + "\n")
        sys.stdout.flush()

    def line(self, now: float) -> str:
        """Return the line for the time since the last one; `now` is in seconds since the epoch."""
        families = {family.name: family for family in self._metrics.registry.collect()}
        values = {metric.emf: self._value(metric, families[metric.prometheus]) for metric in EMF_METRICS}
        values = {name: value for name, value in values.items() if value != []}  # EMF does not allow empty lists
        units = [{"Name": name, "Unit": _unit(name)} for name in values]
        head = {
            "Timestamp": int(now * 1000),
            "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": units}],
        }
        return orjson.dumps({"_aws": head, DIMENSION: self._service, **values}).decode()

    def _value(self, metric: EmfMetric, family: Metric) -> float | list[float]:
        if family.type == "histogram":
            return _milliseconds(self._metrics.take_recent(family.name))
        value = sum(
            sample.value
            for sample in family.samples
            if not sample.name.endswith("_created")
            and (metric.outcomes is None or sample.labels["outcome"] in metric.outcomes)
        )
        if family.type != "counter":
            return value
        increase = value - self._counted.get(metric.emf, 0.0)
        self._counted[metric.emf] = value
        return increase


def _milliseconds(seconds: list[float]) -> list[float]:
    """Return the values in milliseconds; if a line cannot hold them all, their percentiles, the maximum included."""
    ordered = sorted(seconds)
    if len(ordered) > MAX_VALUES_PER_METRIC:
        ranks = (rank * len(ordered) // MAX_VALUES_PER_METRIC for rank in range(1, MAX_VALUES_PER_METRIC + 1))
        ordered = [ordered[rank - 1] for rank in ranks]
    return [round(value * 1000, 3) for value in ordered]


def _unit(name: str) -> str:
    return "Milliseconds" if name.endswith("Milliseconds") else "Count"

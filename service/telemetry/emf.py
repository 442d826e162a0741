"""Metrics for CloudWatch without an agent: Embedded Metric Format, one JSON line on standard output at a time.

CloudWatch Logs takes metrics out of such lines by itself ("Specification: Embedded metric format", Amazon CloudWatch
User Guide). They are read from the registry that Prometheus is served from, so that a request costs nothing more.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson
import structlog

from service.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Collection

    from prometheus_client import Metric

    from service.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

NAMESPACE: Final = "SyncFront"
DIMENSION: Final = "service"
"""The only dimension: its value is the same for all instances, so that CloudWatch reckons over all of them."""

MOST_VALUES: Final = 100
"""Values that one metric may have in one line."""

REJECTIONS: Final = frozenset(kind.slug for kind in Unavailable.__subclasses__())
"""The outcomes that callers see as 503."""


class Name(NamedTuple):
    """A metric of CloudWatch, and the one of Prometheus that it comes from.

    A counter is told as what was counted since the last line, a gauge as its value, a histogram of seconds as the
    milliseconds of single cases. `outcomes` are the values of that label which count; None for all.
    """

    cloudwatch: str
    prometheus: str
    outcomes: Collection[str] | None = None


NAMES: Final = (
    Name("RequestsInFlight", "sync_front_requests_in_flight"),
    Name("MaxInFlight", "sync_front_requests_in_flight_limit"),
    Name("Requests", "sync_front_requests"),
    Name("Rejected", "sync_front_requests", REJECTIONS),
    Name("LinkUp", "sync_front_link_up"),
    Name("Reconnects", "sync_front_link_reconnects"),
    Name("Recovered", "sync_front_recovered"),
    Name("ThrottledCalls", "sync_front_throttled_calls"),
    Name("BridgeOverheadMilliseconds", "sync_front_bridge_overhead_seconds"),
    Name("EventLoopLagMilliseconds", "sync_front_event_loop_lag_seconds"),
    Name("Draining", "sync_front_draining"),
)
"""The names that scaling, alarms and dashboard of the infrastructure use; CloudWatch asks a price for each."""


class EmfWriter:
    """Writes the metrics of one instance of `service`."""

    def __init__(self, metrics: Metrics, service: str) -> None:
        self._metrics = metrics
        self._service = service
        self._counted: dict[str, float] = {}

    async def run(self, interval: float) -> None:
        """Write every `interval` seconds, for ever."""
        clock = asyncio.get_running_loop().time
        due = clock() + interval
        while True:
            await asyncio.sleep(due - clock())
            self.write()
            due = max(due + interval, clock())  # in step, or a minute might be left without a value

    def write(self) -> None:
        """Write one line. A standard output that is gone is no reason to stop serving."""
        try:
            sys.stdout.write(self.line(time.time()) + "\n")
            sys.stdout.flush()
        except OSError as error:
            log.warning("metrics_not_written", reason=error.strerror)

    def line(self, now: float) -> str:
        """Return the line for all that happened since the last one; `now` is in seconds since 1970."""
        families = {family.name: family for family in self._metrics.registry.collect()}
        values = {name.cloudwatch: self._value(name, families[name.prometheus]) for name in NAMES}
        values = {name: value for name, value in values.items() if value != []}  # a list may not be empty
        units = [{"Name": name, "Unit": _unit(name)} for name in values]
        head = {
            "Timestamp": int(now * 1000),
            "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": units}],
        }
        return orjson.dumps({"_aws": head, DIMENSION: self._service, **values}).decode()

    def _value(self, name: Name, family: Metric) -> float | list[float]:
        if family.type == "histogram":
            return _milliseconds(self._metrics.take_recent(family.name))
        value = sum(
            sample.value
            for sample in family.samples
            if not sample.name.endswith("_created")
            and (name.outcomes is None or sample.labels["outcome"] in name.outcomes)
        )
        if family.type != "counter":
            return value
        delta = value - self._counted.get(name.cloudwatch, 0.0)
        self._counted[name.cloudwatch] = value
        return delta


def _milliseconds(seconds: list[float]) -> list[float]:
    """Return as many as a line may hold, all of their percentiles if there are more: the last one is the longest."""
    ordered = sorted(seconds)
    if len(ordered) > MOST_VALUES:
        ordered = [ordered[(number + 1) * len(ordered) // MOST_VALUES - 1] for number in range(MOST_VALUES)]
    return [round(value * 1000, 3) for value in ordered]


def _unit(name: str) -> str:
    return "Milliseconds" if name.endswith("Milliseconds") else "Count"

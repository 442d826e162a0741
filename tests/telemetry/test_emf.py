"""The metrics in CloudWatch's Embedded Metric Format, and their names in the infrastructure."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from structlog.testing import capture_logs

from service.local import LocalAws
from service.telemetry import emf
from service.telemetry.emf import DIMENSION, EMF_METRICS, NAMESPACE, EmfWriter
from service.telemetry.metrics import Metrics
from tests.support.processes import Process, service

TERRAFORM = Path(__file__).parents[2] / "IaC" / "terraform" / "modules" / "sync-front"
NOW = 1_800_000_000.25


class Others(Collector):
    """The metrics that other parts of the service collect; a test sets their values."""

    def __init__(self) -> None:
        self.gauges = {
            metric.prometheus: 0.0
            for metric in EMF_METRICS
            if metric.prometheus.endswith(("_in_flight", "_limit", "_up", "_draining"))
        }
        self.counters = {"sync_front_link_reconnects": 0.0, "sync_front_recovered": 0.0}
        self.throttles: dict[str, float] = {}

    def collect(self) -> Any:
        for name, value in self.gauges.items():
            yield GaugeMetricFamily(name, "-", value)
        for name, value in self.counters.items():
            yield CounterMetricFamily(name, "-", value)
        throttles = CounterMetricFamily("sync_front_throttled_calls", "-", labels=["action"])
        for action, count in self.throttles.items():
            throttles.add_metric([action], count)
        yield throttles


@pytest.fixture
def others() -> Others:
    return Others()


@pytest.fixture
def metrics(others: Others) -> Metrics:
    made = Metrics()
    made.registry.register(others)
    return made


def line(source: EmfWriter) -> dict[str, Any]:
    text = source.line(NOW)
    assert "\n" not in text
    found: dict[str, Any] = json.loads(text)
    return found


def assert_follows_the_specification(found: dict[str, Any]) -> None:
    """Check a line as CloudWatch Logs does, which ignores an invalid line without reporting it."""
    assert isinstance(found["_aws"]["Timestamp"], int)
    (directive,) = found["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == NAMESPACE
    assert directive["Dimensions"] == [[DIMENSION]]
    assert isinstance(found[DIMENSION], str)
    assert 1 <= len(directive["Metrics"]) <= 100
    declared = [metric["Name"] for metric in directive["Metrics"]]
    assert len(declared) == len(set(declared))
    assert set(found) == {"_aws", DIMENSION, *declared}  # every metric has its value, and there is nothing else
    for metric in directive["Metrics"]:
        assert metric["Unit"] in {"Count", "Milliseconds"}
        values = found[metric["Name"]]
        values = values if isinstance(values, list) else [values]
        assert 1 <= len(values) <= 100
        assert all(isinstance(value, int | float) for value in values)


def test_counters_are_written_as_their_increase_since_the_last_line(metrics: Metrics, others: Others) -> None:
    source = EmfWriter(metrics, "front")
    for outcome in ("succeeded", "succeeded", "throttled", "draining", "schema-violation"):
        metrics.ended("event", "start", outcome)
    others.throttles = {"StartExecution": 3, "DescribeExecution": 4}
    others.counters["sync_front_recovered"] = 7
    first = line(source)
    assert_follows_the_specification(first)
    assert (first["_aws"]["Timestamp"], first["service"]) == (1_800_000_000_250, "front")
    assert (first["Requests"], first["Rejected"]) == (5, 2)
    assert (first["ThrottledCalls"], first["Recovered"], first["Reconnects"]) == (7, 7, 0)
    metrics.ended("event", "read", "unreachable")
    others.counters["sync_front_link_reconnects"] = 1
    second = line(source)
    assert (second["Requests"], second["Rejected"], second["Reconnects"]) == (1, 1, 1)
    assert (second["ThrottledCalls"], second["Recovered"]) == (0, 0)


@pytest.mark.parametrize(
    ("outcome", "faults"),
    [
        ("unexpected", 1),
        ("caller-unknown", 1),
        ("refused", 1),
        ("unreachable", 1),
        ("outcome-unknown", 1),
        ("link-down", 1),
        ("at-capacity", 0),
        ("draining", 0),
        ("throttled", 0),
        ("workflow-failed", 0),
        ("workflow-aborted", 0),
        ("invalid-result", 0),
        ("workflow-timed-out", 0),
        ("unknown-execution", 0),
        ("client-disconnected", 0),
        ("running", 0),
    ],
)
def test_only_what_a_release_may_be_to_blame_for_counts_as_a_fault(metrics: Metrics, outcome: str, faults: int) -> None:
    for operation in ("start", "read", "stop"):
        metrics.ended("event", operation, outcome)
    assert line(EmfWriter(metrics, "front"))["Faults"] == 3 * faults


def test_gauges_are_written_as_their_value(metrics: Metrics, others: Others) -> None:
    source = EmfWriter(metrics, "front")
    for number, name in enumerate(others.gauges, start=1):
        others.gauges[name] = number
    for _ in range(2):
        found = line(source)
        assert found["RequestsInFlight"] == others.gauges["sync_front_requests_in_flight"]
        assert found["MaxInFlight"] == others.gauges["sync_front_requests_in_flight_limit"]
        assert found["LinkUp"] == others.gauges["sync_front_link_up"]
        assert found["Draining"] == others.gauges["sync_front_draining"]


def test_durations_are_written_one_by_one_and_once(metrics: Metrics) -> None:
    source = EmfWriter(metrics, "front")
    metrics.responded("event", 1.5, 0.25, 1.0, 1.0)
    metrics.responded("event", 1.0, 0.25, 0.5, 0.5)
    metrics.recent_lags.append(0.004)
    found = line(source)
    assert found["BridgeOverheadMilliseconds"] == [250, 250]
    assert found["EventLoopLagMilliseconds"] == [4]
    later = line(source)
    assert_follows_the_specification(later)
    assert not {"BridgeOverheadMilliseconds", "EventLoopLagMilliseconds"} & set(later)


def test_many_durations_are_written_as_percentiles_with_the_maximum(metrics: Metrics) -> None:
    metrics.recent_lags.extend(number / 1000 for number in range(1000, 0, -1))
    found = line(EmfWriter(metrics, "front"))
    assert_follows_the_specification(found)
    assert found["EventLoopLagMilliseconds"] == list(range(10, 1001, 10))


def test_a_line_that_fails_is_logged_and_does_not_stop_the_service(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with capture_logs() as logs:
        EmfWriter(metrics, "front").write()
    assert [(line["event"], line["part"]) for line in logs] == [("telemetry_failed", "EmfWriter.write")]


def lines(process: Process) -> list[dict[str, Any]]:
    return [json.loads(text) for text in process.stdout]


async def test_the_service_writes_metrics_each_interval_and_once_when_it_stops() -> None:
    env = {"EMF_INTERVAL": "0.2", "SERVICE_NAME": "other-front"}
    async with (
        LocalAws(port=0, wait=0) as aws,
        service(aws, **env) as (process, url),
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http,
    ):
        for expected in (200, 200, 415):
            content = {"Content-Type": "application/json" if expected == 200 else "text/plain"}
            data = b'{"nome": "Ricardo", "sobrenome": "Marques"}'
            async with http.post(f"{url}/event", data=data, headers=content) as response:
                assert response.status == expected
        await process.until(lambda: len(process.stdout) >= 3)
        process.send(signal.SIGTERM)
        assert await process.wait() == 0
    written = lines(process)
    for found in written:
        assert_follows_the_specification(found)
        assert found["service"] == "other-front"
        assert found["MaxInFlight"] == 10_000
        assert abs(found["_aws"]["Timestamp"] / 1000 - time.time()) < 60
    assert sum(found["Requests"] for found in written) == 3
    assert sum(found["Rejected"] for found in written) == 0
    assert sum(len(found.get("BridgeOverheadMilliseconds", [])) for found in written) == 2
    assert any(found.get("EventLoopLagMilliseconds") for found in written)
    assert written[-1]["LinkUp"] == 1  # the first line may come before the link is up
    assert written[-1]["Draining"] == 1


async def test_without_an_interval_nothing_is_written_on_standard_output() -> None:
    async with LocalAws(port=0, wait=0) as aws, service(aws) as (process, _):
        process.send(signal.SIGTERM)
        assert await process.wait() == 0
    assert process.stdout == []


def terraform_names() -> dict[str, str]:
    """Return `local.metrics` as Terraform's files use it: key to name."""
    block = (TERRAFORM / "locals.tf").read_text().partition("metrics = {")[2].partition("\n  }\n")[0]
    return dict(re.findall(r'(\w+)\s*=\s*"(\w+)"', block))


def test_the_infrastructure_knows_exactly_these_metrics() -> None:
    names = terraform_names()
    assert names.pop("namespace") == emf.NAMESPACE
    assert sorted(names.values()) == sorted(metric.emf for metric in EMF_METRICS)


def test_scaling_alarms_and_dashboard_use_every_metric_and_no_other() -> None:
    used = set()
    for file in TERRAFORM.glob("*.tf"):
        text = file.read_text()
        used |= set(re.findall(r"local\.metrics\.(\w+)", text))
        assert file.name == "locals.tf" or "SyncFront" not in text  # written in one place only
    assert used == {*terraform_names(), "dimensions"}


def test_the_task_writes_metrics_each_minute_under_the_dimension_of_the_alarms() -> None:
    locals_, task = (TERRAFORM / "locals.tf").read_text(), (TERRAFORM / "ecs.tf").read_text()
    (value,) = re.findall(rf"dimensions\s*=\s*{{ {DIMENSION} = (\S+) }}", locals_)
    assert re.search(rf"SERVICE_NAME\s*=\s*{re.escape(value)}\s", task)
    assert re.search(r"EMF_INTERVAL\s*=\s*60\s", task)  # CloudWatch's own period, on which the alarms are based

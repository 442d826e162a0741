"""The alerts for Prometheus mean what the alarms of CloudWatch mean, and fire when they should: promtool tries it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
import yaml

from service.errors import Problem
from service.telemetry.emf import FAULT_OUTCOMES, REJECTED_OUTCOMES
from tests.telemetry.test_dashboards import ALARMS, alarms, leaves

ROOT: Final = Path(__file__).parents[2]
RULES: Final = ROOT / "IaC" / "prometheus" / "sync-front.rules.yml"
ALERTS: Final[dict[str, Any]] = {
    rule["alert"].removeprefix("sync-front-"): rule for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
}

ONLY_ON_AWS: Final = {
    *("balancer-5xx", "workflow-throttled", "replies-dropped", "api-key-expires"),
    *("relay-failed", "relay-not-started", "relay-throttled"),
}
"""Alarms on what only CloudWatch knows."""

Series: TypeAlias = dict[str, str]
MINUTES: Final = 30


def test_each_alarm_has_its_alert_unless_only_cloudwatch_knows_its_figures() -> None:
    assert set(ALERTS) == alarms() - ONLY_ON_AWS
    page = (ROOT / "docs" / "operations.md").read_text()
    assert all(f"`{name}`" in page for name in ONLY_ON_AWS)
    for name, rule in ALERTS.items():
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{name}"
        assert rule["annotations"]["summary"].endswith(".")


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_the_threshold_and_the_patience_of_its_alarm(name: str) -> None:
    alarm = re.search(rf"\n    {name} = \{{\n(.+?)\n    \}}", ALARMS, re.DOTALL)
    assert alarm is not None
    (minutes,) = re.findall(r"minutes = (\d+)", alarm[1])
    threshold = re.search(r"threshold = (\d+),", alarm[1])
    rule = ALERTS[name]
    assert rule["for"] == f"{minutes}m"
    if "60 * " in rule["expr"]:
        assert threshold is not None
        assert rule["expr"].endswith(f" > {threshold[1]}")


def test_the_outcomes_that_count_are_those_of_the_code() -> None:
    failures = {kind.slug for kind in leaves(Problem) if kind.status >= 500} | {"unexpected"}
    for name, outcomes in (("api-5xx", failures), ("faults", FAULT_OUTCOMES), ("rejected", REJECTED_OUTCOMES)):
        (listed,) = re.findall(r'outcome=~"([^"]*)"', ALERTS[name]["expr"])
        assert sorted(listed.split("|")) == sorted(outcomes)


def gauges(name: str, *values: float) -> Series:
    """Return a gauge of several instances."""
    return {
        f'{name}{{job="sync-front",instance="{number}"}}': f"{value}x{MINUTES}" for number, value in enumerate(values)
    }


def counters(name: str, label: str, **per_minute: float) -> Series:
    """Return counters, by how much they grow each minute; each is of another instance."""
    return {
        f'{name}{{job="sync-front",instance="{number}",{label}="{value.replace("_", "-")}"}}': f"0+{growth}x{MINUTES}"
        for number, (value, growth) in enumerate(per_minute.items())
    }


def requests(**per_minute: float) -> Series:
    return counters("sync_front_requests_total", "outcome", **per_minute)


def throttled(**per_minute: float) -> Series:
    return counters("sync_front_throttled_calls_total", "action", **per_minute)


def buckets(name: str, **per_minute: float) -> Series:
    """Return a histogram of one instance, by how much its buckets grow each minute; the last one is unlimited."""
    bounds = [bound.strip("_").replace("_", ".") for bound in [*per_minute][:-1]] + ["+Inf"]
    return {
        f'{name}_bucket{{job="sync-front",instance="0",le="{bound}"}}': f"0+{growth}x{MINUTES}"
        for bound, growth in zip(bounds, per_minute.values(), strict=True)
    }


LAG: Final = "sync_front_event_loop_lag_seconds"
DURATION: Final = "sync_front_request_duration_seconds"
ready: Final = "sync_front_ready"

# For each alert what makes it fire, and what just does not.
CASES: Final[dict[str, tuple[Series, Series]]] = {
    "api-5xx": (requests(workflow_failed=3, draining=3), requests(workflow_failed=3, unexpected=1, succeeded=900)),
    "api-latency": (
        buckets(DURATION, _24=900, _26=980, _28=999, more=999),
        buckets(DURATION, _24=900, _26=995, _28=999, more=999),
    ),
    "faults": (
        requests(link_down=6, unexpected=5),
        requests(link_down=5, unexpected=5, at_capacity=90, draining=90, throttled=90, workflow_failed=90),
    ),
    "not-ready": (gauges(ready, 1, 0), gauges(ready, 1, 1)),
    "no-task-ready": (gauges(ready, 0, 0), gauges(ready, 1, 0)),
    "tasks-missing": (gauges("up", 1, 0), gauges("up", 1, 1)),
    "link-down": (gauges("sync_front_link_up", 1, 0), gauges("sync_front_link_up", 1, 1)),
    "rejected": (requests(draining=6, at_capacity=5), requests(draining=5, link_down=5, workflow_failed=90)),
    "in-flight": (
        gauges("sync_front_requests_in_flight", 10, 86) | gauges("sync_front_requests_in_flight_limit", 100, 100),
        gauges("sync_front_requests_in_flight", 10, 85) | gauges("sync_front_requests_in_flight_limit", 100, 100),
    ),
    "event-loop-lag": (
        buckets(LAG, _0_25=110, _0_5=119, _1=120, more=120),
        buckets(LAG, _0_25=110, _0_5=120, _1=120, more=120),
    ),
    "step-functions-throttling": (
        throttled(StartExecution=30, DescribeExecution=21),
        throttled(StartExecution=30, DescribeExecution=20),
    ),
    "workflow-failed": (requests(workflow_failed=6), requests(workflow_failed=5, workflow_aborted=90)),
    "workflow-timed-out": (requests(workflow_timed_out=1), requests(workflow_timed_out=0, workflow_failed=90)),
}


def firing(name: str, series: Series, minute: int, *, expected: bool) -> dict[str, Any]:
    """Return a unit test for promtool ("Unit testing for rules", Prometheus documentation)."""
    alert = f'ALERTS{{alertname="sync-front-{name}",alertstate="firing"}}'
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f"count({alert}) > 0",
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": "{}", "value": 1}] if expected else [],
            }
        ],
    }


def test_each_alert_fires_once_what_it_is_about_has_lasted_and_not_for_less(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool was not found (Debian's package prometheus), so no alert was tried")
    assert set(CASES) == set(ALERTS)
    tests = [firing("no-task-ready", {}, 5, expected=True)]
    for name, (bad, good) in CASES.items():
        patience = int(ALERTS[name]["for"].removesuffix("m"))
        tests += [
            firing(name, bad, patience - 1, expected=False),
            firing(name, bad, patience + 2, expected=True),
            firing(name, good, MINUTES, expected=False),
        ]
    text = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "tests.yml").write_text(json.dumps(text))
    done = subprocess.run(
        [promtool, "test", "rules", str(tmp_path / "tests.yml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stdout + done.stderr

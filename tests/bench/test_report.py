"""Tests of the benchmark's report, with made-up measurements."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from tests.bench import plot, report
from tests.bench.measure import Pair, Point
from tests.bench.subjects import DESIGNS


def pair(design: str, cpu_us: float, p99_ms: float = 4.0) -> Pair:
    return Pair(design, 1000.0, cpu_us, cpu_us, 2.0, p99_ms)


PAIRS = [
    *(pair(design.name, 400.0) for design in DESIGNS if design.name != "service"),
    pair("service", 440.0),
    pair("service", 900.0, p99_ms=8.0),  # the next round, on a machine at half its speed
    *(pair(design.name, 800.0) for design in DESIGNS if design.name != "service"),
]
POINTS = [
    Point("service", 100, 800.0, 500.0, 100 * 2**20),
    Point("service", 10_000, 790.0, 550.0, 100 * 2**20 + 9_900 * 15 * 2**10),
    Point("bare", 100, 800.0, 400.0, 80 * 2**20),
    Point("bare", 10_000, 790.0, 400.0, 80 * 2**20 + 9_900 * 12 * 2**10),
]


def test_ratios_are_calculated_within_each_round() -> None:
    found = report.ratios(PAIRS, "service")["cpu_us"]
    assert (found.lowest, found.median, found.highest) == pytest.approx((1.1, 1.1125, 1.125))
    assert str(found) == "1.11 (1.10-1.12)"


def test_memory_and_growth_compare_the_lowest_and_the_highest_level() -> None:
    assert report.memory(POINTS, "service").median == pytest.approx(15.0)
    assert report.growth(POINTS, "service").median == pytest.approx(1.1)


def test_a_goal_is_met_if_the_median_is_within_its_limit() -> None:
    met = {goal.text: goal.met for goal in report.goals(PAIRS, POINTS)}
    assert met["CPU per request, ratio to the leanest skeleton"]
    assert not met["CPU per request at saturation, ratio to the bare skeleton"]
    assert not report.Goal("g", 1.0, report.Spread.of([0.9, 1.1, 1.2])).met


def test_the_cost_of_telemetry_is_a_ratio_to_the_service_without_it() -> None:
    (goal,) = [goal for goal in report.goals(PAIRS, POINTS) if "metrics and log" in goal.text]
    assert goal.limit == 1.05
    assert goal.measured.lowest == pytest.approx(1.1)
    assert report.ratios(PAIRS, "service", "without-telemetry")["cpu_us"] == goal.measured


def test_the_report_names_the_machine_and_every_design() -> None:
    found = report.as_json(PAIRS, POINTS)
    assert {"cpu", "python", "aiohttp", "uvloop"} <= set(found["machine"])
    assert set(found["ratios"]) == {design.name for design in DESIGNS}
    assert found["machine"]["websockets"] != "not installed"


def test_the_plot_is_svg_and_shows_every_design() -> None:
    root = ET.fromstring(plot.draw(PAIRS, POINTS))  # noqa: S314 - it parses text that this project wrote
    shown = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert {design.title for design in DESIGNS} <= set(shown)
    assert "10,000" in shown

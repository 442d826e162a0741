from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from service.telemetry.histograms import SCHEMA, ZERO_THRESHOLD, Histogram, Series
from service.telemetry.metrics import DURATION_BUCKETS_S
from tests.support.metrics import Scrape


@given(st.floats(min_value=ZERO_THRESHOLD, max_value=1e6, exclude_min=True))
def test_a_native_bucket_is_as_wide_as_its_schema_says(value: float) -> None:
    series = Series(())
    series.observe(value)
    ((number, count),) = series.native.items()
    factor = 2**2**-SCHEMA
    assert count == 1
    assert factor ** (number - 1) * 0.999999 < value <= factor**number * 1.000001


@pytest.mark.parametrize(("value", "number"), [(1.0, 0), (2.0, 8), (0.5, -8), (math.nextafter(2.0, 3), 9)])
def test_a_native_bucket_includes_its_upper_bound(value: float, number: int) -> None:
    series = Series(())
    series.observe(value)
    assert series.native == {number: 1}


def test_next_to_nothing_is_counted_as_nothing() -> None:
    series = Series((1.0,))
    for value in (0.0, ZERO_THRESHOLD):
        series.observe(value)
    assert (series.zeros, series.native, series.cumulative()) == (2, {}, [(1.0, 2), (math.inf, 2)])


def test_each_set_of_labels_has_a_series_of_its_own() -> None:
    registry = CollectorRegistry(auto_describe=True)
    histogram = Histogram("sync_front_a", "A.", (1, 2.5), registry, labels=["workflow"])
    for name, value in (("x", 0.5), ("y", 2.0), ("x", 3.0)):
        histogram.series(name).observe(value)
    text = generate_latest(registry).decode()
    (family,) = text_string_to_metric_families(text)
    now = Scrape(text)
    assert family.type == "histogram"
    assert [now("a_bucket", "x", bound) for bound in ("1.0", "2.5", "+Inf")] == [1, 1, 2]
    assert [now("a_bucket", "y", bound) for bound in ("1.0", "2.5", "+Inf")] == [0, 1, 1]
    assert (now("a_sum", "x"), now("a_count", "x"), now("a_sum", "y")) == (3.5, 2, 2)


def test_a_quantile_of_a_duration_of_a_workflow_is_at_most_a_tenth_off() -> None:
    fine = [bound for bound in DURATION_BUCKETS_S if 0.1 <= bound <= 60]
    assert (fine[0], fine[-1]) == (0.1, 60)
    assert all(bound <= before * 1.1001 for before, bound in pairwise(fine))
    assert sorted(DURATION_BUCKETS_S) == list(DURATION_BUCKETS_S)

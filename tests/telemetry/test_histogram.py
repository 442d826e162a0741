from __future__ import annotations

import prometheus_client
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from service.telemetry.histogram import Histogram

BUCKETS = (0.005, 0.5, 1, 10)


@given(st.lists(st.one_of(st.sampled_from(BUCKETS), st.floats(0, 100))))
def test_it_tells_the_same_as_the_librarys_own(values: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    histogram = Histogram("h_seconds", "What it is.", BUCKETS)
    ours.register(histogram)
    other = prometheus_client.Histogram("h_seconds", "What it is.", buckets=BUCKETS, registry=theirs)
    for value in values:
        histogram.observe(value)
        other.observe(value)
    told = [line for line in generate_latest(theirs).decode().splitlines() if "_created" not in line]
    assert generate_latest(ours).decode().splitlines() == told

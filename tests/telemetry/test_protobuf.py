"""What we write is read by Google's own implementation, with the messages as Prometheus defines them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, Final

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from prometheus_client import CollectorRegistry, Counter, Gauge, Info

from service.telemetry import protobuf
from service.telemetry.histograms import SCHEMA, ZERO_THRESHOLD, Histogram

# io/prometheus/client/metrics.proto of prometheus/client_model: what is used of it.
MESSAGES: Final = {
    "LabelPair": "1 name string, 2 value string",
    "Gauge": "1 value double",
    "Counter": "1 value double",
    "Bucket": "1 cumulative_count uint64, 2 upper_bound double",
    "BucketSpan": "1 offset sint32, 2 length uint32",
    "Histogram": "1 sample_count uint64, 2 sample_sum double, 3 bucket *Bucket, 5 schema sint32, "
    "6 zero_threshold double, 7 zero_count uint64, 12 positive_span *BucketSpan, 13 positive_delta *sint64",
    "Metric": "1 label *LabelPair, 2 gauge Gauge, 3 counter Counter, 7 histogram Histogram",
    "MetricFamily": "1 name string, 2 help string, 3 type int32, 4 metric *Metric",
}


def messages() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package="prometheus", syntax="proto2")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field, mark, kind in re.findall(r"(\d+) (\w+) (\*?)(\w+)", fields):
            added = message.field.add(name=field, number=int(number), label=3 if mark else 1)
            if kind in MESSAGES:
                added.type, added.type_name = 11, f".prometheus.{kind}"
            else:
                added.type = descriptor_pb2.FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("prometheus.MetricFamily"))


FAMILY: Final = messages()


def read(text: bytes) -> Iterator[Any]:
    """Yield the families; each begins with its length."""
    while text:
        length = shift = 0
        while True:
            digit, text = text[0], text[1:]
            length |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                break
        family = FAMILY.FromString(text[:length])
        assert family.SerializeToString() == text[:length]
        yield family
        text = text[length:]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry(auto_describe=True)


def test_counters_gauges_and_the_build_have_the_names_and_values_of_the_text_format(
    registry: CollectorRegistry,
) -> None:
    Counter("calls", "Calls.", ["action"], registry=registry).labels("Über").inc(3)
    Gauge("level", "Level.", registry=registry).set(-1.5)
    Info("build", "Build.", registry=registry).info({"version": "1.2"})
    calls, level, build = read(protobuf.generate(registry))
    assert (calls.name, calls.help, calls.type, calls.metric[0].counter.value) == ("calls_total", "Calls.", 0, 3)
    assert [(label.name, label.value) for label in calls.metric[0].label] == [("action", "Über")]
    assert (level.name, level.type, level.metric[0].gauge.value) == ("level", 1, -1.5)
    assert (build.name, build.type, build.metric[0].gauge.value) == ("build_info", 1, 1)
    assert build.metric[0].label[0].value == "1.2"


def native(histogram: Any) -> dict[int, int]:
    """Return how many observations each native bucket has, as the specification says."""
    numbers: list[int] = []
    for span in histogram.positive_span:
        begin = span.offset + (numbers[-1] + 1 if numbers else 0)
        numbers += range(begin, begin + span.length)
    return dict(zip(numbers, accumulate(histogram.positive_delta), strict=True))


@pytest.mark.parametrize(
    "values",
    [[], [1.0], [0.001, 0.001, 0.0011, 1.0, 1.05, 9.9, 10.0, 10.01, 10.0, 900.0, 0.0], [2.0**n for n in range(-19, 9)]],
    ids=["nothing", "one", "some", "gaps"],
)
def test_a_histogram_has_its_buckets_and_its_native_ones(registry: CollectorRegistry, values: list[float]) -> None:
    series = Histogram("sync_front_a_seconds", "A.", (0.01, 1, 10), registry, labels=["workflow"]).series("x" * 200)
    for value in values:
        series.observe(value)
    (family,) = read(protobuf.generate(registry))
    (metric,) = family.metric
    read_back = metric.histogram
    assert (family.name, family.type, metric.label[0].value) == ("sync_front_a_seconds", 4, "x" * 200)
    assert (read_back.sample_count, read_back.sample_sum) == (len(values), pytest.approx(sum(values)))
    assert [(bucket.upper_bound, bucket.cumulative_count) for bucket in read_back.bucket] == series.cumulative()
    assert (read_back.schema, read_back.zero_threshold, read_back.zero_count) == (SCHEMA, ZERO_THRESHOLD, series.zeros)
    assert native(read_back) == dict(sorted(series.native.items()))


PROMETHEUS: Final = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"


@pytest.mark.parametrize(
    ("accept", "preferred"),
    [
        (f"{PROMETHEUS},application/openmetrics-text;version=1.0.0;q=0.8,*/*;q=0.1", True),
        (f"{PROMETHEUS};q=0.6, text/plain;version=0.0.4;q=0.5", True),
        (protobuf.CONTENT_TYPE, True),
        (f"application/openmetrics-text;version=1.0.0;q=0.5,{PROMETHEUS};q=0.4", False),
        ("application/vnd.google.protobuf", False),
        (PROMETHEUS.replace("delimited", "text"), False),
        ("*/*", False),
        ("", False),
    ],
)
def test_protobuf_is_for_those_who_name_it_first(accept: str, preferred: bool) -> None:
    assert protobuf.preferred(accept) is preferred

"""Metrics in Prometheus's protobuf format, the only one in which it reads native histograms.

The messages are those of `io/prometheus/client/metrics.proto` in prometheus/client_model, written as "Encoding" in the
Protocol Buffers documentation describes. prometheus-client does not write them, and the package for protobuf is larger
than all that is needed here.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from service.telemetry.histograms import SCHEMA, ZERO_THRESHOLD, Family

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import CollectorRegistry, Metric

    from service.telemetry.histograms import Series

CONTENT_TYPE: Final = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

_PARTS: Final = {part.strip() for part in CONTENT_TYPE.split(";")}
_COUNTER, _GAUGE, _HISTOGRAM = 0, 1, 4


def preferred(accept: str) -> bool:
    """Return whether an `Accept` header names this format first, as Prometheus does when it reads native histograms."""
    return {part.strip() for part in accept.partition(",")[0].split(";")} >= _PARTS


def generate(registry: CollectorRegistry) -> bytes:
    """Write all metrics."""
    families = (_family(family) for family in registry.collect())
    return b"".join(_varint(len(family)) + family for family in families)


def _family(family: Metric) -> bytes:
    kind, field, suffix = _GAUGE, 2, ""
    if isinstance(family, Family):
        kind = _HISTOGRAM
        metrics = [_labels(dict(labels)) + _bytes(7, _histogram(series)) for labels, series in family.series.items()]
    else:
        if family.type == "counter":
            kind, field, suffix = _COUNTER, 3, "_total"
        elif family.type == "info":
            suffix = "_info"
        metrics = [_labels(sample.labels) + _bytes(field, _double(1, sample.value)) for sample in family.samples]
    head = _text(1, family.name + suffix) + _text(2, family.documentation) + _number(3, kind)
    return head + b"".join(_bytes(4, metric) for metric in metrics)


def _histogram(series: Series) -> bytes:
    buckets = series.cumulative()
    return b"".join(
        [
            _number(1, buckets[-1][1]),
            _double(2, series.sum),
            *(_bytes(3, _number(1, count) + _double(2, bound)) for bound, count in buckets),
            _signed(5, SCHEMA),
            _double(6, ZERO_THRESHOLD),
            _number(7, series.zeros),
            *_native(series.native),
        ]
    )


def _native(counts: dict[int, int]) -> Iterator[bytes]:
    """Write the native buckets: the spans of adjacent ones, then by how much each count differs from the one before."""
    numbers = sorted(counts)
    if not numbers:
        return
    starts = [numbers[0], *(after for before, after in pairwise(numbers) if after > before + 1)]
    ends = [*(before + 1 for before, after in pairwise(numbers) if after > before + 1), numbers[-1] + 1]
    for previous_end, start, end in zip([0, *ends], starts, ends, strict=False):
        yield _bytes(12, _signed(1, start - previous_end) + _number(2, end - start))
    for before, after in pairwise([0, *(counts[number] for number in numbers)]):
        yield _signed(13, after - before)


def _labels(labels: dict[str, str]) -> bytes:
    return b"".join(_bytes(1, _text(1, name) + _text(2, value)) for name, value in labels.items())


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _signed(field: int, value: int) -> bytes:
    """Write a number in the zigzag encoding: 0, -1, 1, -2, ... become 0, 1, 2, 3, ..."""
    return _number(field, value << 1 if value >= 0 else ~(value << 1))


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())

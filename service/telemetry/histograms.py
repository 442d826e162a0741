"""Histograms whose quantiles are accurate: fine buckets for every reader, and native ones for who asks for them.

prometheus-client has no native histograms, and it finds a bucket by trying one after the other, which costs more than
the rest of a request's metrics with as many buckets as there are here. The native buckets are those of the
"Native Histograms" specification of Prometheus with a fixed schema.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from math import ceil, inf, log2
from typing import TYPE_CHECKING, Final

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client import CollectorRegistry

SCHEMA: Final = 3
"""The resolution of the native buckets: each is 2 ** 2 ** -SCHEMA times, here 9 %, wider than the one below it."""

ZERO_THRESHOLD: Final = 2.0**-20
"""The upper bound of the lowest native bucket, in seconds: one microsecond, less than anything that is measured."""

_PER_DOUBLING: Final = 2**SCHEMA


class Series:
    """The observations with one set of label values."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        """The sum of all observations."""
        self.zeros = 0
        """Observations up to ZERO_THRESHOLD."""
        self.native: dict[int, int] = {}
        """Observations above it by native bucket: number n ends at, and includes, 2 ** (n / 2 ** SCHEMA)."""

    def observe(self, value: float) -> None:
        """Count a value, of at least 0."""
        self.sum += value
        self._counts[bisect_left(self._bounds, value)] += 1
        if value <= ZERO_THRESHOLD:
            self.zeros += 1
        else:
            number = ceil(log2(value) * _PER_DOUBLING)
            self.native[number] = self.native.get(number, 0) + 1

    def cumulative(self) -> list[tuple[float, int]]:
        """Return the upper bound of each bucket, infinity at last, with the number of observations up to it."""
        return list(zip((*self._bounds, inf), accumulate(self._counts), strict=True))


class Family(HistogramMetricFamily):
    """The samples of a histogram, with the series that they are made from."""

    series: dict[tuple[tuple[str, str], ...], Series]


class Histogram(Collector):
    """A histogram; `bounds` are the upper bounds of its buckets, without infinity."""

    def __init__(
        self,
        name: str,
        documentation: str,
        bounds: Sequence[float],
        registry: CollectorRegistry,
        labels: Sequence[str] = (),
    ) -> None:
        self._name, self._documentation, self._bounds, self._labels = name, documentation, bounds, labels
        self._series: dict[tuple[str, ...], Series] = {}
        registry.register(self)

    def series(self, *values: str) -> Series:
        """Return the series with these values of the labels."""
        series = self._series.get(values)
        if series is None:
            series = self._series[values] = Series(self._bounds)
        return series

    def collect(self) -> Iterator[Family]:
        """Read everything now."""
        family = Family(self._name, self._documentation, labels=self._labels)
        family.series = {}
        for values, series in self._series.items():
            family.series[tuple(zip(self._labels, values, strict=True))] = series
            buckets = [("+Inf" if bound == inf else str(float(bound)), count) for bound, count in series.cumulative()]
            family.add_metric(values, buckets, series.sum)
        yield family

    def describe(self) -> Iterator[Family]:
        """Return the name alone, for the registry."""
        yield Family(self._name, self._documentation)

"""The results of the measurements: ratios within each round, their spread over the rounds, and the goals."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench.measure import Pair, Point
from tests.bench.subjects import BARE, LEANEST, SERVICE, WITHOUT_TELEMETRY

PACKAGES: Final = ("aiohttp", "websockets", "orjson", "uvloop", "aioboto3", "botocore")
FIGURES: Final = ("requests_per_second", "cpu_us", "half_cpu_us", "p50_ms", "p99_ms")


@dataclass(frozen=True, slots=True)
class Spread:
    """The median, the lowest and the highest of some values."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Return the spread of at least one value."""
        found = sorted(values)
        return cls(statistics.median(found), found[0], found[-1])

    def __str__(self) -> str:
        digits = 0 if self.median >= 100 else 1 if self.median >= 10 else 2
        return f"{self.median:.{digits}f} ({self.lowest:.{digits}f}-{self.highest:.{digits}f})"


@dataclass(frozen=True, slots=True)
class Goal:
    """An upper limit for one figure, and what was measured."""

    text: str
    limit: float
    measured: Spread

    @property
    def met(self) -> bool:
        """Whether the median is within the limit."""
        return self.measured.median <= self.limit


def machine() -> dict[str, str]:
    """Describe this machine and the versions of the packages."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    found = {"cpu": model, "cores": str(os.cpu_count()), "system": f"{platform.system()} {platform.release()}"}
    found["python"] = f"{platform.python_implementation()} {platform.python_version()}"
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def figures(pairs: Sequence[Pair], design: str) -> dict[str, Spread]:
    """Return the spread of each figure of one design over the rounds."""
    return {name: Spread.of(getattr(pair, name) for pair in pairs if pair.design == design) for name in FIGURES}


def ratios(pairs: Sequence[Pair], design: str, to: str = BARE.name) -> dict[str, Spread]:
    """Return each figure of one design divided by that of another (the bare skeleton) in the same round."""
    rounds = zip(
        (pair for pair in pairs if pair.design == design),
        (pair for pair in pairs if pair.design == to),
        strict=True,
    )
    both = list(rounds)
    return {name: Spread.of(getattr(one, name) / getattr(other, name) for one, other in both) for name in FIGURES}


def per_level(points: Sequence[Point], design: str) -> dict[int, list[Point]]:
    """Return one design's points by level."""
    found: dict[int, list[Point]] = {}
    for point in points:
        if point.design == design:
            found.setdefault(point.level, []).append(point)
    return found


def memory(points: Sequence[Point], design: str) -> Spread:
    """Return the memory per request in flight, in KiB, from the lowest level to the highest."""
    levels = per_level(points, design)
    lowest, highest = levels[min(levels)], levels[max(levels)]
    return Spread.of(
        (high.rss - low.rss) / (high.level - low.level) / 1024 for low, high in zip(lowest, highest, strict=True)
    )


def growth(points: Sequence[Point], design: str) -> Spread:
    """Return the CPU time per request at the highest level, divided by that at the lowest."""
    levels = per_level(points, design)
    return Spread.of(
        high.cpu_us / low.cpu_us for low, high in zip(levels[min(levels)], levels[max(levels)], strict=True)
    )


def goals(pairs: Sequence[Pair], points: Sequence[Point]) -> list[Goal]:
    """Compare the service with its goals."""
    against = ratios(pairs, SERVICE.name)
    highest = max(point.level for point in points)
    return [
        Goal("CPU per request at saturation, ratio to the bare skeleton", 0.82, against["cpu_us"]),
        Goal(
            "CPU per request, ratio to the leanest skeleton",
            3,
            ratios(pairs, SERVICE.name, LEANEST.name)["cpu_us"],
        ),
        Goal(
            "CPU per request with metrics and log, ratio to that without",
            1.05,
            ratios(pairs, SERVICE.name, WITHOUT_TELEMETRY.name)["cpu_us"],
        ),
        Goal("overhead at half of saturation, p50, ratio to the bare skeleton", 1, against["p50_ms"]),
        Goal("overhead at half of saturation, p99, ratio to the bare skeleton", 1.2, against["p99_ms"]),
        Goal("resident memory per request in flight, KiB", 14.5, memory(points, SERVICE.name)),
        Goal(f"CPU per request with {highest} in flight, ratio to that with 100", 1.1, growth(points, SERVICE.name)),
    ]


def as_json(pairs: Sequence[Pair], points: Sequence[Point]) -> dict[str, Any]:
    """Return all measurements, ratios and goals as JSON values."""
    return {
        "machine": machine(),
        "goals": [asdict(goal) | {"met": goal.met} for goal in goals(pairs, points)],
        "ratios": {
            name: {figure: asdict(spread) for figure, spread in ratios(pairs, name).items()}
            for name in dict.fromkeys(pair.design for pair in pairs)
        },
        "pairs": [asdict(pair) for pair in pairs],
        "points": [asdict(point) for point in points],
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []

"""The plot of a result, as SVG: CPU time per request of each design, and by the number of requests in flight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from tests.bench import report
from tests.bench.measure import Pair, Point
from tests.bench.subjects import BARE, DESIGNS, SERVICE

_COLOURS: Final = {SERVICE.name: "#d1495b", BARE.name: "#30638e"}
_OTHER: Final = "#9aa5b1"
_FRAME: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 880 270" font-family="sans-serif" font-size="13" fill="#222">
<rect width="880" height="270" fill="#fff"/>
{parts}
</svg>
"""


def draw(pairs: Sequence[Pair], points: Sequence[Point]) -> str:
    """Return the SVG."""
    return _FRAME.format(parts="\n".join([*_bars(pairs), *_curves(points)]))


def _bars(pairs: Sequence[Pair]) -> list[str]:
    parts = [_text(20, 30, "CPU time per request, microseconds (lowest to highest round)", bold=True)]
    spreads = {design: report.figures(pairs, design.name)["cpu_us"] for design in DESIGNS}
    scale = 200 / max(spread.highest for spread in spreads.values())
    for row, (design, spread) in enumerate(spreads.items()):
        y = 58 + 36 * row
        colour = _COLOURS.get(design.name, _OTHER)
        parts += [
            _text(20, y + 17, design.title),
            f'<rect x="190" y="{y}" width="{spread.median * scale:.1f}" height="24" fill="{colour}"/>',
            f'<path d="M{190 + spread.lowest * scale:.1f} {y + 12}H{190 + spread.highest * scale:.1f}" stroke="#222"/>',
            _text(198 + spread.highest * scale, y + 17, f"{spread.median:.0f}"),
        ]
    return parts


def _curves(points: Sequence[Point]) -> list[str]:
    left, right, top, bottom = 520, 830, 58, 222
    levels = sorted({point.level for point in points})
    highest = max(point.cpu_us for point in points)
    low, high = math.log(levels[0]), math.log(levels[-1])

    def position(level: int, cpu_us: float) -> tuple[float, float]:
        x = left + (right - left) * (math.log(level) - low) / (high - low)
        return x, bottom - (bottom - top) * cpu_us / highest

    parts = [
        _text(480, 30, "... by requests in flight, at one rate", bold=True),
        f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#222"/>',
        _text(left - 8, bottom, "0", anchor="end"),
        _text(left - 8, top + 5, f"{highest:.0f}", anchor="end"),
        *(_text(position(level, 0)[0], bottom + 20, f"{level:,}", anchor="middle") for level in levels),
    ]
    for row, design in enumerate((SERVICE, BARE)):
        by_level = report.per_level(points, design.name)
        dots = [
            position(level, report.Spread.of(point.cpu_us for point in found).median)
            for level, found in by_level.items()
        ]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
        colour = _COLOURS[design.name]
        parts += [
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>',
            *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in dots),
            f'<rect x="{left + 20 + 150 * row}" y="{bottom - 30}" width="12" height="12" fill="{colour}"/>',
            _text(left + 38 + 150 * row, bottom - 19, design.title),
        ]
    return parts


def _text(x: float, y: float, text: str, *, anchor: str = "start", bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"{weight}>{text}</text>'

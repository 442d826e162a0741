"""Benchmark of the service against other designs: `python -m tests.bench` (`make bench`).

The design under test has one core; the stand-in for AWS and the load generator share another. Every design is measured
in every round, in an order that rotates from round to round. Only ratios within a round count, because the speed of a
machine varies over time.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from service.app import event_loop
from service.app.fd_limits import raise_open_files
from tests.bench import plot, report, revision
from tests.bench.measure import Bench, Effort, Pair, Point, awake
from tests.bench.subjects import BARE, DESIGNS, EVENT_MODE, LEANEST, SERVICE, Design
from tests.support.tls import self_signed

FULL: Final = Effort(
    rounds=5, turns=6, warm_up=0.3, seconds=0.7, curve_rounds=3, levels=(100, 300, 1000, 3000, 10_000), rate=800
)
SHORT: Final = Effort(rounds=2, turns=2, warm_up=0.2, seconds=0.5, curve_rounds=1, levels=(100, 1000), rate=400)
CURVE: Final = (SERVICE, BARE)


async def measure(
    effort: Effort, designs: tuple[Design, ...], core: int | None, certificate: Path | None
) -> tuple[list[Pair], list[Point]]:
    """Run all measurements."""
    pairs: list[Pair] = []
    points: list[Point] = []
    columns = (TextColumn("{task.description:32}"), BarColumn(), TimeRemainingColumn())
    # Refreshed only once a second, so that it takes no CPU time from the load generator.
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=1) as bar:
        task = bar.add_task("", total=effort.total(len(designs), len(CURVE)))

        def progress(title: str, seconds: float) -> None:
            bar.update(task, advance=seconds, description=title or None)

        bench = Bench(effort, core, progress, certificate)
        with nullcontext() if core is None else awake():  # without a core of its own, it would only take time away
            for number in range(effort.rounds):
                turn = number % len(designs)
                pairs += await bench.round(designs[turn:] + designs[:turn])
            for number in range(effort.curve_rounds):
                for design in CURVE if number % 2 == 0 else CURVE[::-1]:
                    points += await bench.curve(design)
    return pairs, points


def show(designs: tuple[Design, ...], pairs: list[Pair], points: list[Point]) -> None:
    """Print the results."""
    console = Console(width=120)
    console.print(", ".join(f"{name} {value}" for name, value in report.machine().items()))
    table = Table("", "requests/s", "CPU us/request", "ratio", "p50 ms", "ratio", "p99 ms", "ratio")
    for design in designs:
        found, ratios = report.figures(pairs, design.name), report.ratios(pairs, design.name)
        cells = [str(found["requests_per_second"])]
        for figure in ("cpu_us", "p50_ms", "p99_ms"):
            cells += [str(found[figure]), str(ratios[figure])]
        table.add_row(design.title, *cells)
    console.print(table)
    for design in (LEANEST, *designs[len(DESIGNS) :]):
        against = report.ratios(pairs, SERVICE.name, design.name)
        console.print(
            f"sync-front to {design.title}: CPU per request {against['cpu_us']}, requests per second"
            f" {against['requests_per_second']}"
        )
    levels = sorted({point.level for point in points})
    curve = Table("CPU us/request, by requests in flight", *map(str, levels), "growth", "KiB/request")
    for design in CURVE:
        by_level = report.per_level(points, design.name)
        cells = [str(report.Spread.of(point.cpu_us for point in by_level[level])) for level in levels]
        curve.add_row(
            design.title, *cells, str(report.growth(points, design.name)), str(report.memory(points, design.name))
        )
    console.print(curve)
    for goal in report.goals(pairs, points):
        console.print(f"{'met   ' if goal.met else 'MISSED'} {goal.text}: {goal.measured}, goal {goal.limit:g}")


def main() -> None:
    """Measure, print the results, and write them as JSON and as a plot."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--short", action="store_true", help="a quick run of about a minute, to check that everything works"
    )
    parser.add_argument("--against", metavar="REVISION", help="also measure that revision of the project")
    parser.add_argument("--event-mode", action="store_true", help="also measure a workflow in event mode")
    parser.add_argument("--tls", action="store_true", help="measure calls and the WebSocket over TLS")
    parser.add_argument("--output", type=Path, default=Path("build/bench"), help="folder for result.json and plot.svg")
    options = parser.parse_args()
    if sys.platform != "linux":
        parser.error("only Linux can pin processes to cores and read their CPU clocks")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[1:])
    else:
        sys.stderr.write("only one core is available: compare CPU times only\n")
    raise_open_files()
    effort = SHORT if options.short else FULL
    designs = DESIGNS + ((EVENT_MODE,) if options.event_mode else ())
    if options.against:
        designs += (revision.checked_out(options.against),)
    options.output.mkdir(parents=True, exist_ok=True)
    certificate = self_signed(options.output.resolve()) if options.tls else None
    # The service's own event loop and garbage collector settings, so that the load generator is as fast.
    event_loop.freeze_heap()
    pairs, points = event_loop.run(measure(effort, designs, cores[0] if len(cores) > 1 else None, certificate))
    show(designs, pairs, points)
    (options.output / "result.json").write_bytes(
        orjson.dumps({"tls": options.tls} | report.as_json(pairs, points), option=orjson.OPT_INDENT_2)
    )
    (options.output / "plot.svg").write_text(plot.draw(pairs, points))
    sys.stdout.write(f"results: {options.output}/result.json, {options.output}/plot.svg\n")


if __name__ == "__main__":
    main()

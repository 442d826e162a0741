"""`python -m tests.chaos`: every fault with many random seeds; the exit status tells whether every promise held."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.chaos.stage import Report
from tests.chaos.worker import SCENARIOS, batches, play


def show(line: str) -> None:
    """Print at once: progress is for somebody who watches."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def summary(name: str, reports: Iterable[Report]) -> list[Report]:
    """Print a line for a scenario, and what was broken; return the reports of broken runs."""
    reports = sorted(reports, key=lambda report: report.seed)
    answers = sum((report.answers for report in reports), Counter[str]())
    broken = [report for report in reports if report.faults]
    kinds = ", ".join(f"{kind}: {count}" for kind, count in sorted(answers.items()))
    slowest = max(report.slowest for report in reports)
    verdict = "ok    " if not broken else "BROKEN"
    show(f"{verdict} {name:<50} {len(reports):>3} seeds  {kinds}  (slowest {slowest:.1f} s)")
    for report in broken:
        show(f"       seed {report.seed}: make chaos ONLY={name} SEED={report.seed} SEEDS=1")
        for fault in report.faults[:5]:
            show(f"         {fault}")
        if len(report.faults) > 5:
            show(f"         and {len(report.faults) - 5} more")
    return broken


def main() -> int:
    """Run; 0 if nothing was lost, invented, started twice or left over."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="runs of each fault (default: 20)")
    parser.add_argument("--seed", type=int, default=None, help="the first seed (default: random)")
    parser.add_argument("--only", default="", help="the faults whose names contain this")
    options = parser.parse_args()
    first = random.randrange(10**6) if options.seed is None else options.seed
    names = [name for name in SCENARIOS if options.only in name]
    show(f"seeds {first} to {first + options.seeds - 1}, {len(names)} faults")
    began = time.monotonic()
    runs = [(name, seed) for name in names for seed in range(first, first + options.seeds)]
    done: dict[str, list[Report]] = {name: [] for name in names}
    broken: list[Report] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=max(2, os.cpu_count() or 2), mp_context=context) as pool:
        for future in as_completed([pool.submit(play, batch) for batch in batches(runs)]):
            for report in future.result():
                reports = done[report.scenario]
                reports.append(report)
                if len(reports) == options.seeds:
                    broken += summary(report.scenario, reports)
    requests = sum(sum(report.answers.values()) for reports in done.values() for report in reports)
    show(f"{len(runs)} runs, {requests} requests, {len(broken)} broken, {time.monotonic() - began:.0f} s")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

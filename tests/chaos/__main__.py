"""The fault suite: `python -m tests.chaos` runs every fault with many seeds and fails if a guarantee is broken."""

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
    """Print a line without buffering."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def print_summary(name: str, reports: Iterable[Report]) -> list[Report]:
    """Print one line for a scenario and its failures; return the reports of failed runs."""
    reports = sorted(reports, key=lambda report: report.seed)
    responses = sum((report.responses for report in reports), Counter[str]())
    failed = [report for report in reports if report.faults]
    kinds = ", ".join(f"{kind}: {count}" for kind, count in sorted(responses.items()))
    slowest = max(report.slowest for report in reports)
    verdict = "ok    " if not failed else "FAILED"
    show(f"{verdict} {name:<50} {len(reports):>3} seeds  {kinds}  (slowest response {slowest:.1f} s)")
    for report in failed:
        show(f"       seed {report.seed}: make chaos ONLY={name} SEED={report.seed} SEEDS=1")
        for fault in report.faults[:5]:
            show(f"         {fault}")
        if len(report.faults) > 5:
            show(f"         and {len(report.faults) - 5} more")
    return failed


def main() -> int:
    """Run the suite; 0 if nothing was lost, invented, started twice or left over."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="number of runs of each fault (default: 20)")
    parser.add_argument("--seed", type=int, default=None, help="first seed (default: random)")
    parser.add_argument("--only", default="", help="only faults whose names contain this text")
    options = parser.parse_args()
    first = random.randrange(10**6) if options.seed is None else options.seed
    names = [name for name in SCENARIOS if options.only in name]
    show(f"seeds {first} to {first + options.seeds - 1}, {len(names)} faults")
    began = time.monotonic()
    runs = [(name, seed) for name in names for seed in range(first, first + options.seeds)]
    done: dict[str, list[Report]] = {name: [] for name in names}
    failed: list[Report] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=max(2, os.cpu_count() or 2), mp_context=context) as pool:
        for future in as_completed([pool.submit(play, batch) for batch in batches(runs)]):
            for report in future.result():
                reports = done[report.scenario]
                reports.append(report)
                if len(reports) == options.seeds:
                    failed += print_summary(report.scenario, reports)
    requests = sum(sum(report.responses.values()) for reports in done.values() for report in reports)
    show(f"{len(runs)} runs, {requests} requests, {len(failed)} failed, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

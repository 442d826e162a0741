"""Command line of the mutation tests: `python -m tools.mutants`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

from tools.mutants import examine, summary
from tools.mutants.listing import modules, mutants, sample
from tools.mutants.record import Record
from tools.mutants.source import Mutant, Source
from tools.mutants.tree import Tree

ROOT: Final = Path(__file__).parents[2]
BUILD: Final = ROOT / "build" / "mutants"
EQUIVALENT: Final = Path(__file__).with_name("equivalent.toml")


def main(arguments: list[str] | None = None) -> int:
    """Examine a sample; return 1 if too few of its mutants are noticed."""
    options = _options(arguments)
    everything = [mutant for path in modules(ROOT) for mutant in mutants(Source.read(ROOT, path))]
    chosen = _chosen(everything, options)
    if not chosen:
        print(f"no mutant is called {options.only}", file=sys.stderr)
        return 2
    if options.list:
        for mutant in chosen:
            print(mutant.name, f"    - {mutant.before}", f"    + {mutant.after}", sep="\n")
        return 0
    BUILD.mkdir(parents=True, exist_ok=True)
    record = _record(options)
    path = BUILD / "results.json"
    results = examine.load(path) if options.resume or options.only else {}
    results = {mutant.name: results[mutant.name] for mutant in everything if _is_same(mutant, results)}
    rest = [mutant for mutant in chosen if not (options.resume and mutant.name in results)]
    for result in examine.Examiner(ROOT, record, options.budget, options.workers).results(rest):
        print(summary.line(result), flush=True)
        results[result.name] = result
        examine.save(path, results)
    shown = [results[mutant.name] for mutant in chosen if mutant.name in results]
    text, is_enough = summary.summary(shown, summary.load_equivalents(EQUIVALENT))
    print(text)
    return 0 if is_enough else 1


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.mutants", description="Put faults into the code; the tests should notice them."
    )
    parser.add_argument("--seed", type=int, default=1, help="chooses the sample (default: %(default)s)")
    parser.add_argument("--count", type=int, default=300, help="mutants in the sample (default: %(default)s)")
    parser.add_argument(
        "--only", default="", help="a mutant's name, or the beginning of the names of some in the sample"
    )
    parser.add_argument("--workers", type=int, default=2, help="mutants at a time (default: %(default)s)")
    parser.add_argument(
        "--budget", type=float, default=60.0, help="seconds of tests for a mutant (default: %(default)s)"
    )
    parser.add_argument("--resume", action="store_true", help="keep the results of an earlier run")
    parser.add_argument("--record", action="store_true", help="run all tests again to learn which line they execute")
    parser.add_argument("--list", action="store_true", help="only list the mutants")
    return parser.parse_args(arguments)


def _chosen(everything: list[Mutant], options: argparse.Namespace) -> list[Mutant]:
    named = [mutant for mutant in everything if mutant.name == options.only]
    chosen = named or sample(everything, options.count, options.seed)
    return [mutant for mutant in chosen if mutant.name.startswith(options.only)]


def _is_same(mutant: Mutant, results: dict[str, examine.Result]) -> bool:
    result = results.get(mutant.name)
    return result is not None and (result.before, result.after) == (mutant.before, mutant.after)


def _record(options: argparse.Namespace) -> Record:
    path = BUILD / "record.json"
    if options.record or not path.exists():
        print("running all tests without a fault, to learn which line they execute ...", flush=True)
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            Record.make(Tree(ROOT, Path(folder, "tree")), options.workers).save(path)
    return Record.load(path)


if __name__ == "__main__":
    sys.exit(main())

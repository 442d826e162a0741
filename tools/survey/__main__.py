"""Command line of the survey: `python -m tools.survey FOLDER`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from tools.survey.trial import try_file

_SUFFIXES = {".json", ".yaml", ".yml"}


def main(arguments: list[str] | None = None) -> int:
    """Print a line for each definition, and how many ended in which way; return 1 if there are none."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.survey",
        description="Run state machine definitions in the local AWS, with mocks made from what they read.",
    )
    parser.add_argument("folder", type=Path, help="where definitions are, at any depth: .json, .yaml, .yml")
    options = parser.parse_args(arguments)
    counts: Counter[str] = Counter()
    for path in sorted(path for path in options.folder.rglob("*") if path.suffix in _SUFFIXES):
        outcome = try_file(path)
        counts[outcome.kind] += 1
        print(f"{outcome.kind:9} {path.relative_to(options.folder)} {outcome.reason[:300]}".rstrip())
    accepted = counts.total() - counts["refused"]
    print(f"\n{counts.total()} definitions: {accepted} accepted; {dict(counts)}")
    return 0 if counts else 1


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tools.capacity`: the tasks, quotas and cost of a load."""

from __future__ import annotations

import argparse
import sys

from tools.capacity import report


def main(arguments: list[str] | None = None) -> int:
    """Print the report; return 2 if a number cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m tools.capacity", description="Tasks, quotas and cost of a load.")
    parser.add_argument("--rps", required=True, help="requests per second")
    parser.add_argument("--seconds", required=True, help="seconds that each request stays in flight")
    parser.add_argument("--transitions", help="state transitions per execution (default: the demo workflow's)")
    options = parser.parse_args(arguments)
    try:
        print(report.report(options.rps, options.seconds, options.transitions))
    except report.LoadError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

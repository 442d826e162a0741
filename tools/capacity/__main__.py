"""Command line of the calculator: `python -m tools.capacity`."""

from __future__ import annotations

import argparse
import sys

from tools.capacity import report


def main(arguments: list[str] | None = None) -> int:
    """Print the report; return 2 if a number is invalid."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.capacity", description="Calculate the tasks, quotas and cost of a load."
    )
    parser.add_argument("--rps", required=True, help="requests per second")
    parser.add_argument("--seconds", required=True, help="seconds that each request is in flight: up to 285, or 890")
    parser.add_argument("--stream", action="store_true", help="each request is answered by an event stream")
    parser.add_argument("--transitions", help="state transitions per execution (default: the demo workflow's)")
    options = parser.parse_args(arguments)
    try:
        print(report.report(options.rps, options.seconds, options.transitions, stream=options.stream))
    except report.LoadError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

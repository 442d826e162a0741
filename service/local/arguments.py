"""The command-line arguments that say what the local AWS runs, for every command that starts one."""

from __future__ import annotations

import argparse
from pathlib import Path

from service.local.server import WORKFLOW


def add_workflow_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--wait`, `--workflow`, `--set` and `--mocks`; `set` becomes a list of names with values."""
    parser.add_argument(
        "--wait",
        type=seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long the workflow waits, the value of ${wait_seconds} in the definition (default: 10)",
    )
    parser.add_argument(
        "--workflow",
        type=Path,
        default=WORKFLOW,
        metavar="FILE",
        help="the workflow definition to run, JSON or YAML (default: the demonstration workflow)",
    )
    parser.add_argument(
        "--set",
        type=assignment,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="the value of a placeholder ${NAME} in the definition; may be repeated",
    )
    parser.add_argument(
        "--mocks", type=Path, metavar="FILE", help="results of tasks, in the format of AWS Step Functions Local"
    )


def assignment(text: str) -> tuple[str, str]:
    """Split `NAME=VALUE`; ArgumentTypeError if it is not of this form."""
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise argparse.ArgumentTypeError("must be NAME=VALUE")
    return name, value


def seconds(text: str) -> float:
    """Read a number of seconds; ArgumentTypeError if it is not one, or is negative."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError("must be a number of seconds, 0 or more")
    return number

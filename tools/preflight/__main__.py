"""Command line of the preflight: `python -m tools.preflight`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

try:
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    sys.exit("The AWS SDK is missing. Run `make setup-service`, then `.venv/bin/python -m tools.preflight`.")

from tools.preflight import configuration, endpoints, policies, quotas, rights, rules, samples, stack, workflows, zones
from tools.preflight.aws import Aws
from tools.preflight.findings import Line, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.preflight.samples import Json

TERRAFORM = Path(__file__).parents[2] / "IaC" / "terraform"


def main(arguments: list[str] | None = None) -> int:
    """Print the report; return 1 if something is wrong, 2 if nothing could be checked."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.preflight",
        description="Check an AWS account before the first `terraform apply`. Nothing is created.",
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, default=TERRAFORM, help="the initialised Terraform configuration"
    )
    parser.add_argument(
        "--request",
        type=_request,
        action="append",
        default=[],
        metavar="[NAME=]JSON",
        help="a request to the workflow of this name, or to each one that is not named",
    )
    options = parser.parse_args(arguments)
    try:
        found = configuration.read(options.folder)
        aws = Aws(found.region)
        identity = aws.client("sts").get_caller_identity()
    except (configuration.ConfigurationError, BotoCoreError, ClientError) as error:
        print(f"Nothing was checked. {error}", file=sys.stderr)
        return 2
    print(f"account {identity['Account']}, region {found.region}, caller {identity['Arn']}")
    named = {"": samples.REQUEST} | dict(options.request)
    return report(run(aws, found, identity["Arn"], samples.Requests(named.pop(""), named)))


def _request(text: str) -> tuple[str, Json]:
    """Read a request and the name of its workflow, which may be missing."""
    name, separator, request = text.partition("=")
    if separator and name.replace("-", "").isalnum():
        return name, json.loads(request)
    return "", json.loads(text)


def run(aws: Aws, found: configuration.Configuration, caller: str, requests: samples.Requests) -> Iterator[Line]:
    """Yield the lines of all checks."""
    yield from endpoints.check(aws)
    yield from rights.check(aws, found, caller)
    yield from zones.check(aws, found)
    yield from quotas.check(aws, found)
    yield from workflows.check(aws, found, requests)
    yield from rules.check(aws, found)
    yield from policies.check(aws, found)
    yield from stack.check(aws, found)


def report(lines: Iterator[Line]) -> int:
    """Print each line as soon as it is known, and their number; return the exit status."""
    counts = dict.fromkeys(Verdict, 0)
    for line in lines:
        counts[line.verdict] += 1
        print(line, flush=True)
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return 1 if counts[Verdict.WRONG] else 0


if __name__ == "__main__":
    sys.exit(main())

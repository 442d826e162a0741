"""Command line of the smoke test: `python -m tools.smoke https://.../dev`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

import aiohttp

from tools.smoke.waits import WAITS, Wait, send

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WORKFLOW = """\
The workflow has to wait as long as the event says: {"seconds": 55}. examples/wait.asl.json and wait.schema.json do; for
a deployment of the test, put them in the place of IaC/workflow.asl.json and IaC/request.schema.json.
"""


def main(arguments: Sequence[str] | None = None, waits: Sequence[Wait] = WAITS) -> int:
    """Send all requests at once and print what became of each; return 1 if one was not answered as promised."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.smoke",
        description="Let one request each wait a minute, nearly five, and ten as a stream, against a deployment.",
        epilog=_WORKFLOW,
    )
    parser.add_argument("api", help="the URL before /event, such as https://....amazonaws.com/dev")
    parser.add_argument("--path", default="/event", help="the path of the workflow (default: /event)")
    parser.add_argument(
        "--header", action="append", default=[], metavar="'NAME: VALUE'", help="sent with each request; may be repeated"
    )
    options = parser.parse_args(arguments)
    headers = {name.strip(): value.strip() for name, _, value in (text.partition(":") for text in options.header)}
    return asyncio.run(run(options.api.rstrip("/") + options.path, headers, waits))


async def run(url: str, headers: Mapping[str, str], waits: Sequence[Wait]) -> int:
    """Send the requests and print the findings as they come."""
    failed = 0
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, sock_connect=10)) as http:

        async def play(wait: Wait) -> None:
            nonlocal failed
            finding = await send(http, url, wait, headers)
            failed += not finding.ok
            print(f"{'ok' if finding.ok else 'WRONG':<6}{wait}: {finding.text}", flush=True)

        print(f"{len(waits)} requests to {url}, up to {max(wait.seconds for wait in waits):g} s", flush=True)
        async with asyncio.TaskGroup() as group:
            for wait in waits:
                group.create_task(play(wait))
    if failed:
        print(_WORKFLOW, end="", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

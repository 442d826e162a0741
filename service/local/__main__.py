"""`python -m service.local [--wait 10]`: the embedded local AWS alone, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import textwrap
from pathlib import Path

from service.local import WORKFLOW, DefinitionError, LocalAws


async def serve(host: str, port: int, wait: float, workflow: Path) -> None:
    """Serve until SIGINT or SIGTERM; OSError if the address cannot be bound."""
    shutdown = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, shutdown.set)
    async with LocalAws(host=host, port=port, wait=wait, definition=workflow) as aws:
        lines = [
            f"local AWS on {aws.url}, region {aws.region}; any credentials are accepted",
            f"  AWS_ENDPOINT_URL_SFN={aws.url}",
            f"  STATE_MACHINE_ARN={aws.state_machine_arn}",
            f"  APPSYNC_HTTP_URL={aws.http_url}",
            f"  APPSYNC_REALTIME_URL={aws.realtime_url}",
            f"  APPSYNC_API_KEY={aws.api_key}",
            "  AWS_ACCESS_KEY_ID=local",
            "  AWS_SECRET_ACCESS_KEY=local",
            f"live view: {aws.url}/_local/",
        ]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        await shutdown.wait()


def main() -> int:
    """Parse the command line and run; the exit status is 1 if the address or the workflow cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m service.local", description=__doc__)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="host name or address to listen on; clients connect to it by this name (default: 127.0.0.1)",
    )
    parser.add_argument(
        "--wait", type=float, default=10.0, help="how long the workflow waits, in seconds (default: 10)"
    )
    parser.add_argument(
        "--workflow",
        type=Path,
        default=WORKFLOW,
        help="state machine definition to run (default: the demonstration workflow)",
    )
    options = parser.parse_args()
    port = os.environ.get("LOCAL_AWS_PORT", "4566")
    if not (port.isascii() and port.isdecimal() and int(port) < 65536):
        sys.stderr.write(f"LOCAL_AWS_PORT is not a port number: {port}\n")
        return 1
    if not 0 <= options.wait < float("inf"):
        parser.error("--wait must be a number of seconds, 0 or more")
    try:
        asyncio.run(serve(options.host, int(port), options.wait, options.workflow))
    except OSError as error:
        message = f"cannot listen on {options.host}:{port}: {error.strerror}\nSet LOCAL_AWS_PORT to another port.\n"
        sys.stderr.write(message)
        return 1
    except DefinitionError as error:
        faults = textwrap.indent(str(error), "  ")
        sys.stderr.write(f"the local AWS cannot run {options.workflow}:\n{faults}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`sync-front local-aws`, `python -m service.local`: the embedded local AWS alone, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import signal
import sys
import textwrap

from service.local import DefinitionError, LocalAws, url
from service.local.arguments import add_workflow_arguments


async def serve(aws: LocalAws) -> None:
    """Serve until SIGINT or SIGTERM; OSError if the address cannot be bound."""
    shutdown = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, shutdown.set)
    async with aws:
        sys.stdout.write(
            f"# Listening on {aws.url}  (press Ctrl-C to stop); live view: {aws.url}/_local/\n{settings(aws.url)}"
        )
        sys.stdout.flush()
        await shutdown.wait()


def settings(address: str) -> str:
    """Return what points the service, an AWS SDK or the AWS CLI at this AWS, in a form that a shell can source."""
    values = {
        "AWS_ENDPOINT_URL_SFN": address,
        "AWS_DEFAULT_REGION": LocalAws.region,
        "AWS_ACCESS_KEY_ID": "local",  # any are accepted
        "AWS_SECRET_ACCESS_KEY": "local",
        "STATE_MACHINE_ARN": LocalAws.state_machine_arn,
        "APPSYNC_HTTP_URL": f"{address}/event",
        "APPSYNC_REALTIME_URL": f"{address.replace('http', 'ws', 1)}/event/realtime",
        "APPSYNC_NAMESPACE": LocalAws.namespace,
        "APPSYNC_API_KEY": LocalAws.api_key,
    }
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def main(arguments: list[str] | None = None, prog: str = "python -m service.local") -> int:
    """Parse the command line and run; the exit status is 1 if the address or the workflow cannot be used."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Run the embedded local AWS alone, until Ctrl-C or SIGTERM, and print the settings that point the "
        "service at it. The environment variable LOCAL_AWS_PORT is its port (default: 4566).",
    )
    parser.add_argument(
        "--settings", action="store_true", help="only print these settings, for `eval` or a file that a shell sources"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="host name or address to listen on; clients connect to it by this name (default: 127.0.0.1)",
    )
    add_workflow_arguments(parser)
    options = parser.parse_args(arguments)
    port = os.environ.get("LOCAL_AWS_PORT", "").strip() or "4566"
    if not (port.isascii() and port.isdecimal() and int(port) < 65536):
        sys.stderr.write(f"LOCAL_AWS_PORT is not a port number: {port}\n")
        return 1
    if options.settings:
        if not int(port):
            sys.stderr.write("LOCAL_AWS_PORT=0 picks a free port: the local AWS prints the settings when it has one.\n")
            return 1
        sys.stdout.write(settings(url(options.host, int(port))))
        return 0
    aws = LocalAws(
        host=options.host,
        port=int(port),
        wait=options.wait,
        definition=options.workflow,
        values=dict(options.set),
        mocks=options.mocks,
    )
    try:
        asyncio.run(serve(aws))
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

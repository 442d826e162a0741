"""The command line: `python -m service serve` on AWS, `python -m service local` on a laptop."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import aioboto3
from botocore.exceptions import BotoCoreError

from service.app import composition, event_loop, serve, settings
from service.app.shutdown import Stop
from service.telemetry import logs

if TYPE_CHECKING:
    from collections.abc import Coroutine


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status.

    1 means that a port is taken, the workflow file cannot be run here or the extra for local use is not installed,
    2 that settings or numbers cannot be used, 3 that a stop did not let all requests come to their own end.
    """
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="the service alone; settings come from the environment")
    run_local = commands.add_parser("local", help="the service with an embedded local AWS")
    run_local.add_argument("--wait", type=_seconds, default=10.0, help="the workflow's wait in seconds (default: 10)")
    run_local.add_argument("--workflow", type=Path, help="the definition to run (default: the demo's)")
    options = parser.parse_args(arguments)
    if options.command == "serve":
        return _run(_serve())
    try:
        from service.app import local  # noqa: PLC0415 - `serve` needs neither the embedded AWS nor its package
    except ModuleNotFoundError as error:
        if error.name != "jsonata":
            raise
        print("local use needs the extra: pip install 'sync-front[local]'", file=sys.stderr)  # noqa: T201 - for a person
        return 1
    return _run(local.run(options.wait, options.workflow))


def _run(work: Coroutine[None, None, bool]) -> int:
    try:
        return 0 if event_loop.run(work) else 3
    except settings.SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a message for the person at the terminal, not a log line
        return 2
    except serve.CannotStartError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the same
        return 1


async def _serve() -> bool:
    chosen = settings.load()
    logs.configure(chosen.LOG_LEVEL, chosen.LOG_FORMAT)
    try:
        session = aioboto3.Session()
        credentials = await session.get_credentials()  # type: ignore[misc]  # the stubs miss that it is a coroutine
    except BotoCoreError as error:
        raise settings.SettingsError(f"the AWS SDK cannot be set up: {error}") from error
    if credentials is None:
        raise settings.SettingsError("the AWS SDK finds no credentials (AWS_ACCESS_KEY_ID, a profile, a role, ...)")
    stop = Stop()
    stop.listen()
    return await serve.run(chosen, composition.AwsAccess(session), stop, lambda _port: event_loop.freeze_heap())


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError("a number of seconds, 0 or more, is needed")
    return seconds

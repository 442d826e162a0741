"""The command line: `python -m service serve` on AWS, `python -m service local` on a laptop."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import aioboto3
from botocore.exceptions import BotoCoreError

from service import app, runtime, settings
from service.local import WORKFLOW, DefinitionError, LocalAws
from service.telemetry import logs

if TYPE_CHECKING:
    from collections.abc import Coroutine

LOCAL_FILES = 2048
"""Files that the embedded AWS opens: its ends of our connections, and those of its workflows' HTTP calls."""

CURL = """\
Listening on http://127.0.0.1:{port}  (Ctrl-C ends it). Try:

  curl -s http://127.0.0.1:{port}/event -H 'Content-Type: application/json' \\
    -d '{{"nome": "Ricardo", "sobrenome": "Marques"}}'

and watch it at http://127.0.0.1:{port}/_local/
"""


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status.

    1 means that a port is taken or the workflow file cannot be run here, 2 that settings or numbers cannot be used,
    3 that a stop did not let all requests come to their own end.
    """
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="the service alone; settings come from the environment")
    local = commands.add_parser("local", help="the service with an embedded local AWS")
    local.add_argument("--wait", type=_seconds, default=10.0, help="the workflow's wait in seconds (default: 10)")
    local.add_argument("--workflow", type=Path, default=WORKFLOW, help="the definition to run (default: the demo's)")
    capacity = commands.add_parser("capacity", help="tasks, quotas and cost of a load, on paper")
    capacity.add_argument("--rps", required=True, help="requests a second")
    capacity.add_argument("--seconds", required=True, help="seconds for which each request is held")
    capacity.add_argument("--transitions", help="state transitions of a workflow (default: the demonstration's)")
    options = parser.parse_args(arguments)
    if options.command == "capacity":
        return _capacity(options.rps, options.seconds, options.transitions)
    work = _serve() if options.command == "serve" else _local(options.wait, options.workflow)
    return _run(work)


def _capacity(rps: str, seconds: str, transitions: str | None) -> int:
    from service.capacity import report  # noqa: PLC0415 - the service itself has no use for it

    try:
        print(report.report(rps, seconds, transitions))  # noqa: T201 - what the command is for
    except report.LoadError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a message for the person at the terminal
        return 2
    return 0


def _run(work: Coroutine[None, None, bool]) -> int:
    try:
        return 0 if runtime.run(work) else 3
    except settings.SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a message for the person at the terminal, not a log line
        return 2
    except (app.PortTakenError, DefinitionError) as error:
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
    stop = app.Stop()
    stop.listen()
    return await app.run(chosen, app.AwsAccess(session), stop, lambda _port: runtime.settle())


async def _local(wait: float, workflow: Path) -> bool:
    # Nothing of the user's own AWS set-up may matter, least of all real credentials; nor may a proxy.
    os.environ.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull, NO_PROXY="127.0.0.1")
    os.environ.pop("AWS_PROFILE", None)
    chosen = settings.load(
        {
            "STATE_MACHINE_ARN": LocalAws.state_machine_arn,
            "APPSYNC_HTTP_URL": "http://127.0.0.1/event",
            "APPSYNC_REALTIME_URL": "ws://127.0.0.1/event/realtime",
            "APPSYNC_NAMESPACE": LocalAws.namespace,
            "APPSYNC_API_KEY": LocalAws.api_key,
            "APPSYNC_API_KEY_SECRET": "",
            # No balancer has to notice that it stops, unless somebody tries out just that.
            "DRAIN_DELAY": os.environ.get("DRAIN_DELAY", "0"),
        }
    )
    logs.configure(chosen.LOG_LEVEL, chosen.LOG_FORMAT)
    stop = app.Stop()
    stop.listen()

    def announce(port: int) -> None:
        runtime.settle()
        print(CURL.format(port=port), flush=True)  # noqa: T201 - what `make run` is for

    aws = LocalAws(port=chosen.LOCAL_AWS_PORT, wait=wait, definition=workflow)
    try:
        await aws.start()
    except OSError as error:
        message = f"cannot listen on 127.0.0.1, port {chosen.LOCAL_AWS_PORT} (LOCAL_AWS_PORT): {error.strerror}"
        raise app.PortTakenError(message) from error
    try:
        session = aioboto3.Session(aws_access_key_id="local", aws_secret_access_key="local")  # noqa: S106 - no secret
        chosen = chosen.model_copy(update={"APPSYNC_HTTP_URL": aws.http_url, "APPSYNC_REALTIME_URL": aws.realtime_url})
        await app.run(
            chosen,
            app.AwsAccess(session, aws.url, LOCAL_FILES),
            stop,
            announce,
            extend=aws.view.join,
        )
    finally:
        await aws.stop()
    return True  # who tries it out and presses Ctrl-C knows what was under way


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError("a number of seconds, 0 or more, is needed")
    return seconds

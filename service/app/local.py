"""`python -m service local`: the service and the embedded local AWS in one process."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import aioboto3

from service.app import event_loop, serve, settings
from service.app.aws import AwsAccess
from service.app.network import Network
from service.app.shutdown import Shutdown
from service.local import WORKFLOW, Definition, DefinitionError, LocalAws
from service.local import __main__ as local_aws
from service.local.arguments import add_workflow_arguments
from service.telemetry import logs
from service.web import docs
from service.web.example import example
from service.web.schema import JsonSchema
from service.web.site import is_wildcard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiohttp import web

    from service.app.workflows import WorkflowSettings

EMBEDDED_AWS_OPEN_FILES = 2048
"""Files that the embedded AWS opens: its ends of the service's connections and its workflows' HTTP calls."""

BANNER = """\
Listening on {where}  (press Ctrl-C to stop). Try:

  curl -s {url}{path} -H 'Content-Type: application/json' \\
    {caller}-d {event}

and watch the live view at {url}/_local/
"""

ANY_OBJECT = """\
The workflow has no schema, so any JSON object is accepted: send what it expects instead of {{}}.
A JSON Schema in {schema} would be used.
"""

LOCAL_SECRET = "not a secret: local use"  # noqa: S105 - it is not
"""Makes ids and keys mean the same after a restart, and in every process that uses one embedded AWS."""

DEMO_EVENT = {"nome": "Ricardo", "sobrenome": "Marques"}
"""An event that the demonstration workflow accepts."""


_SUFFIX = r"(\.asl)?\.(json|ya?ml)$|\.asl$"


class Workflow(NamedTuple):
    """What the embedded AWS runs."""

    wait_s: float
    """How long the demonstration workflow waits."""
    definition: Path
    """The file of the workflow."""
    values: Mapping[str, str]
    """Of the placeholders in it."""
    mocks: Path | None
    """The file with the results of its tasks."""
    several: Path | None = None
    """The file of several workflows, each with its definition, to run instead."""


def read_arguments(arguments: Sequence[str], prog: str, epilog: str | None) -> Workflow:
    """Parse the command line; SystemExit if it is invalid or asks for help."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Run the service with an embedded local AWS, which provides the required settings.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_workflow_arguments(parser)
    parser.add_argument(
        "--workflows", type=Path, metavar="FILE", help="the workflows to run, as in WORKFLOWS, each with a definition"
    )
    options = parser.parse_args(arguments)
    if options.workflows is not None and (options.mocks is not None or options.workflow != WORKFLOW):
        parser.error("with --workflows, each workflow has its definition and its mocks in that file")
    return Workflow(options.wait, options.workflow, dict(options.set), options.mocks, options.workflows)


async def run(workflow: Workflow) -> bool:
    """Run both until a signal.

    Raise SettingsError, or CannotStartError for a port that is taken or a workflow that the local AWS cannot run.
    """
    # Ignore the user's own AWS configuration, above all real credentials.
    os.environ.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)
    os.environ.pop("AWS_PROFILE", None)
    definition = workflow.definition
    own = None if _is_demonstration(definition) else definition
    schema = None if own is None else _schema_beside(own)
    config = settings.load(
        {
            "HOST": _environment("HOST", "127.0.0.1"),
            "STATE_MACHINE_ARN": LocalAws.state_machine_arn,
            "WORKFLOWS": "" if workflow.several is None else str(workflow.several),
            "APPSYNC_HTTP_URL": "http://127.0.0.1/event",
            "APPSYNC_REALTIME_URL": "ws://127.0.0.1/event/realtime",
            "APPSYNC_NAMESPACE": LocalAws.namespace,
            "APPSYNC_API_KEY": LocalAws.api_key,
            "APPSYNC_API_KEY_SECRET": "",
            "ID_SECRETS": _environment("ID_SECRETS", LOCAL_SECRET),
            "IDEMPOTENCY_SECRET": _environment("IDEMPOTENCY_SECRET", LOCAL_SECRET),
            # No load balancer has to notice the stop, unless somebody is testing that.
            "DRAIN_DELAY": _environment("DRAIN_DELAY", "0"),
            **({} if schema is None else {"REQUEST_SCHEMA": schema if schema.is_file() else ""}),
        }
    )
    machines = [] if workflow.several is None else _definitions(config.workflows)
    logs.configure(config.LOG_LEVEL, config.LOG_FORMAT)
    shutdown = Shutdown()
    shutdown.install_signal_handlers()

    def announce(port: int) -> None:
        event_loop.freeze_heap()
        first = config.workflows[0]
        candidates = [DEMO_EVENT] if own is None and workflow.several is None else []
        candidates += [example(first.schema_of_requests.document), {}]
        event: Any = next(filter(first.schema_of_requests.accepts, candidates), {})
        banner = _banner(config.HOST, port, first.route, event, config.CALLER_HEADER)
        if schema is not None and not schema.is_file():
            banner += ANY_OBJECT.format(schema=schema)
        print(banner, flush=True)  # noqa: T201 - for the person at the terminal

    def extend(application: web.Application) -> None:
        aws.view.attach(application)
        application[docs.HOME] = "/_local/"

    aws = LocalAws(
        port=config.LOCAL_AWS_PORT,
        wait=workflow.wait_s,
        definition=definition,
        machines=machines,
        values=workflow.values,
        mocks=workflow.mocks,
    )
    try:
        await aws.start()
    except DefinitionError as error:
        faults = textwrap.indent(str(error), "  ")
        file = workflow.several or definition
        raise serve.CannotStartError(f"the local AWS cannot run {file}:\n{faults}") from error
    except OSError as error:
        message = f"cannot listen on 127.0.0.1, port {config.LOCAL_AWS_PORT} (LOCAL_AWS_PORT): {error.strerror}"
        raise serve.CannotStartError(message) from error
    try:
        session = aioboto3.Session(aws_access_key_id="local", aws_secret_access_key="local")  # noqa: S106 - no secret
        config = config.model_copy(update={"APPSYNC_HTTP_URL": aws.http_url, "APPSYNC_REALTIME_URL": aws.realtime_url})
        await serve.run(
            config,
            AwsAccess(session, Network.direct(), aws.url, EMBEDDED_AWS_OPEN_FILES),
            shutdown,
            announce,
            extend=extend,
        )
    finally:
        await aws.stop()
    return True  # whoever presses Ctrl-C knows which requests were in flight


def aws_alone(arguments: list[str], prog: str) -> int:
    """Run the embedded local AWS without the service, by its own command line; return the exit status."""
    return local_aws.main(arguments, prog)


def _definitions(workflows: Sequence[WorkflowSettings]) -> list[Definition]:
    """Return what the local AWS runs; raise SettingsError for workflows without a definition."""
    missing = [own.name for own in workflows if own.definition is None]
    if missing:
        raise settings.SettingsError(f"WORKFLOWS: to run locally, these need a definition: {', '.join(missing)}")
    return [
        Definition(own.state_machine_arn.text, own.definition, own.input, own.mocks)
        for own in workflows
        if own.definition is not None
    ]


def _environment(name: str, default: str) -> str:
    """Return a setting from the environment, or the default of local use."""
    return os.environ.get(name, "").strip() or default


def _is_demonstration(workflow: Path) -> bool:
    return workflow.resolve() == WORKFLOW.resolve()


def _schema_beside(workflow: Path) -> Path | None:
    """Return where the schema of a workflow of one's own would be; None if REQUEST_SCHEMA is set.

    `orders.schema.json` belongs to `orders.json` and `orders.asl.json`. Raise SettingsError if it cannot be used.
    """
    if "REQUEST_SCHEMA" in os.environ:
        return None
    schema = workflow.with_name(f"{re.sub(_SUFFIX, '', workflow.name)}.schema.json")
    if schema.is_file():
        try:
            JsonSchema.load(schema)
        except ValueError as error:
            raise settings.SettingsError(f"{schema}: {error}") from error
    return schema


def _banner(host: str, port: int, path: str, event: Any, caller_header: str | None = None) -> str:
    """Say where the service listens, and how to call it from this machine, where no gateway says who calls."""
    everywhere = is_wildcard(host)
    name = "127.0.0.1" if everywhere else f"[{host}]" if ":" in host else host
    url = f"http://{name}:{port}"
    where = f"all addresses of this machine, port {port}" if everywhere else url
    caller = "" if caller_header is None else f"-H {shlex.quote(f'{caller_header}: me')} "
    return BANNER.format(where=where, url=url, path=path, caller=caller, event=shlex.quote(json.dumps(event)))

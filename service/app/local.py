"""`python -m service local`: the service and the embedded local AWS in one process."""

from __future__ import annotations

import json
import os
import shlex
from typing import TYPE_CHECKING

import aioboto3

from service.app import event_loop, serve, settings
from service.app.aws import AwsAccess
from service.app.network import Network
from service.app.shutdown import Shutdown
from service.local import WORKFLOW, DefinitionError, LocalAws
from service.telemetry import logs
from service.web import docs
from service.web.example import example

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web

    from service.web.schema import RequestSchema

EMBEDDED_AWS_OPEN_FILES = 2048
"""Files that the embedded AWS opens: its ends of the service's connections and its workflows' HTTP calls."""

BANNER = """\
Listening on http://127.0.0.1:{port}  (press Ctrl-C to stop). Try:

  curl -s http://127.0.0.1:{port}/event -H 'Content-Type: application/json' \\
    -d {event}

and watch the live view at http://127.0.0.1:{port}/_local/
"""

DEMO_EVENT = {"nome": "Ricardo", "sobrenome": "Marques"}
"""An event that the demonstration workflow accepts."""


async def run(wait: float, workflow: Path | None) -> bool:
    """Run both until a signal; `wait` is how many seconds the workflow waits, `workflow` replaces its definition.

    Raise SettingsError, or CannotStartError for a port that is taken or a workflow that the local AWS cannot run.
    """
    # Ignore the user's own AWS configuration, above all real credentials.
    os.environ.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)
    os.environ.pop("AWS_PROFILE", None)
    config = settings.load(
        {
            "STATE_MACHINE_ARN": LocalAws.state_machine_arn,
            "APPSYNC_HTTP_URL": "http://127.0.0.1/event",
            "APPSYNC_REALTIME_URL": "ws://127.0.0.1/event/realtime",
            "APPSYNC_NAMESPACE": LocalAws.namespace,
            "APPSYNC_API_KEY": LocalAws.api_key,
            "APPSYNC_API_KEY_SECRET": "",
            # No load balancer has to notice the stop, unless somebody is testing that.
            "DRAIN_DELAY": os.environ.get("DRAIN_DELAY", "0"),
        }
    )
    logs.configure(config.LOG_LEVEL, config.LOG_FORMAT)
    shutdown = Shutdown()
    shutdown.install_signal_handlers()

    def announce(port: int) -> None:
        event_loop.freeze_heap()
        print(BANNER.format(port=port, event=_example_event(config.REQUEST_SCHEMA)), flush=True)  # noqa: T201 - for the person at the terminal

    def extend(application: web.Application) -> None:
        aws.view.attach(application)
        application[docs.HOME] = "/_local/"

    aws = LocalAws(port=config.LOCAL_AWS_PORT, wait=wait, definition=workflow or WORKFLOW)
    try:
        await aws.start()
    except DefinitionError as error:
        raise serve.CannotStartError(f"the local AWS cannot run this workflow: {error}") from error
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


def _example_event(schema: RequestSchema) -> str:
    """Return an event that matches the schema, quoted for a shell; an empty one if none is known."""
    candidates = (DEMO_EVENT, example(schema.document))
    return shlex.quote(json.dumps(next((event for event in candidates if schema.accepts(event)), {})))

"""`python -m service local`: the service and the embedded local AWS in one process."""

from __future__ import annotations

import json
import os
import shlex
from typing import TYPE_CHECKING

import aioboto3

from service.app import event_loop, serve, settings
from service.app.shutdown import Stop
from service.local import WORKFLOW, DefinitionError, LocalAws
from service.telemetry import logs
from service.web import docs
from service.web.example import example

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web

    from service.web.schema import RequestSchema

LOCAL_FILES = 2048
"""Files that the embedded AWS opens: its ends of our connections, and those of its workflows' HTTP calls."""

CURL = """\
Listening on http://127.0.0.1:{port}  (Ctrl-C ends it). Try:

  curl -s http://127.0.0.1:{port}/event -H 'Content-Type: application/json' \\
    -d {event}

and watch it at http://127.0.0.1:{port}/_local/
"""

EVENT = {"nome": "Ricardo", "sobrenome": "Marques"}
"""What the demonstration workflow takes."""


async def run(wait: float, workflow: Path | None) -> bool:
    """Run both until a signal; `wait` is the demonstration's wait in seconds, `workflow` another definition to run.

    Raise SettingsError, or CannotStartError for a port that is taken or a definition that cannot be run here.
    """
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
    stop = Stop()
    stop.listen()

    def announce(port: int) -> None:
        event_loop.freeze_heap()
        print(CURL.format(port=port, event=_sample(chosen.REQUEST_SCHEMA)), flush=True)  # noqa: T201 - what `make run` is for

    def extend(application: web.Application) -> None:
        aws.view.join(application)
        application[docs.HOME] = "/_local/"

    aws = LocalAws(port=chosen.LOCAL_AWS_PORT, wait=wait, definition=workflow or WORKFLOW)
    try:
        await aws.start()
    except DefinitionError as error:
        raise serve.CannotStartError(str(error)) from error
    except OSError as error:
        message = f"cannot listen on 127.0.0.1, port {chosen.LOCAL_AWS_PORT} (LOCAL_AWS_PORT): {error.strerror}"
        raise serve.CannotStartError(message) from error
    try:
        session = aioboto3.Session(aws_access_key_id="local", aws_secret_access_key="local")  # noqa: S106 - no secret
        chosen = chosen.model_copy(update={"APPSYNC_HTTP_URL": aws.http_url, "APPSYNC_REALTIME_URL": aws.realtime_url})
        await serve.run(
            chosen,
            serve.AwsAccess(session, aws.url, LOCAL_FILES),
            stop,
            announce,
            extend=extend,
        )
    finally:
        await aws.stop()
    return True  # who tries it out and presses Ctrl-C knows what was under way


def _sample(schema: RequestSchema) -> str:
    """Give an event, quoted for a shell, that fits the schema; where none is known, an empty one to start from."""
    events = (EVENT, example(schema.document))
    return shlex.quote(json.dumps(next((event for event in events if schema.accepts(event)), {})))

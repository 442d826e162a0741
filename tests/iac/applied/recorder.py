"""A recorder of the calls that Terraform's provider sends to the stand-in for AWS."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock
from typing import Any

from moto.moto_server import threaded_moto_server

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Iterable[bytes]]


class Recorder:
    """A WSGI application that appends each of Terraform's calls to a file, one JSON object a line."""

    def __init__(self, application: Application, file: Path) -> None:
        self._application = application
        self._file = file.open("a", encoding="utf-8")
        self._writing = Lock()  # the server has a thread for each call

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        # The tests call the same server; only the provider names Terraform as its user agent.
        if "terraform" in environ.get("HTTP_USER_AGENT", "").lower():
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(body)
            self._record(environ, body)
        return self._application(environ, start_response)

    def _record(self, environ: Environ, body: bytes) -> None:
        names = ("HTTP_AUTHORIZATION", "HTTP_X_AMZ_TARGET", "CONTENT_TYPE")
        headers = {name.removeprefix("HTTP_").replace("_", "-"): environ[name] for name in names if name in environ}
        call = {
            "method": environ["REQUEST_METHOD"],
            "url": environ.get("RAW_URI") or environ["REQUEST_URI"],
            "headers": headers,
            "body": base64.b64encode(body).decode(),
        }
        with self._writing:
            self._file.write(f"{json.dumps(call)}\n")
            self._file.flush()


def record(file: Path) -> None:
    """Have every server of moto that starts after this record into a file."""
    server: Any = threaded_moto_server
    dispatcher = server.DomainDispatcherApplication
    server.DomainDispatcherApplication = lambda create: Recorder(dispatcher(create), file)

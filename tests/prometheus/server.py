"""A real Prometheus, which scrapes one instance of the service."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.parse import urlencode

from yarl import URL

from tests.prometheus.test_rules import RULES
from tests.support.processes import free_port

PROMETHEUS: Final = shutil.which("prometheus")
DEADLINE: Final = 30


class Server:
    """The HTTP API of a Prometheus."""

    def __init__(self, url: str) -> None:
        self._url = url

    def get(self, path: str, **parameters: str) -> Any:
        """Return what a request to the API has as its data."""
        with urllib.request.urlopen(f"{self._url}/api/v1/{path}?{urlencode(parameters)}", timeout=10) as response:  # noqa: S310 - our own server's
            return json.load(response)["data"]

    def values(self, expression: str) -> list[float]:
        """Evaluate an expression now; return the value of each series."""
        return [float(series["value"][1]) for series in self.get("query", query=expression)["result"]]

    def value(self, expression: str) -> float:
        """Evaluate an expression that has one series, or none yet: then it is not a number."""
        values = self.values(expression)
        return values[0] if len(values) == 1 else math.nan

    def reaches(self, expression: str, value: float) -> None:
        """Wait until an expression has this value; raise TimeoutError."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            try:
                if self.value(expression) == value:
                    return
            except URLError:
                pass  # it does not listen yet
            time.sleep(0.1)
        raise TimeoutError(expression)


@contextmanager
def prometheus(folder: Path, target: str, *options: str) -> Iterator[Server]:
    """Run Prometheus with the alerts; it scrapes `target` each second."""
    assert PROMETHEUS is not None
    folder.mkdir()
    job = {"job_name": "sync-front", "static_configs": [{"targets": [URL(target).authority]}]}
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [job],
    }
    (folder / "prometheus.yml").write_text(json.dumps(configuration))
    address = f"127.0.0.1:{free_port()}"
    files = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    command = [PROMETHEUS, *files, f"--web.listen-address={address}", "--log.level=warn", *options]
    with subprocess.Popen(command) as process:
        try:
            yield Server(f"http://{address}")
        finally:
            process.terminate()

"""A load test with Locust: `python -m tests.load` starts a local stack and writes its report to build/load.html.

With `--host` the load goes to a deployment instead.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from urllib.error import URLError

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "build" / "load.html"

BODY = "LOAD_BODY"
"""The environment variable with the event for the callers, empty for the demonstration's."""


@contextmanager
def local_stack(wait: str) -> Iterator[str]:
    """Run the service and the local AWS in one process on free ports; yield the service's URL once it is ready."""
    command = [sys.executable, "-m", "service", "local", "--wait", wait]
    free_ports = {"HOST": "127.0.0.1", "PORT": "0", "LOCAL_AWS_PORT": "0", "LOG_LEVEL": "WARNING"}
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | free_ports, stdout=subprocess.PIPE, text=True) as stack:
        try:
            assert stack.stdout is not None
            url = stack.stdout.readline().split()[2]
            wait_until_ready(url)
            yield url
        finally:
            stack.send_signal(signal.SIGINT)


def wait_until_ready(url: str) -> None:
    """Wait until the service is ready; raise TimeoutError after 30 seconds."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):  # noqa: S310 - the local stack's own URL
                return
        except URLError:
            time.sleep(0.1)
    raise TimeoutError("the local stack did not become ready within 30 seconds")


def event(text: str) -> str:
    """Return the JSON text that `--body` names; raise ArgumentTypeError."""
    try:
        body = Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text
        json.loads(body)
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"not the JSON text of an event: {error}") from error
    return body


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("--users", type=int, default=200, help="concurrent callers (default: 200)")
    parser.add_argument("--duration", default="30s", help="how long to run, for example 30s or 5m (default: 30s)")
    parser.add_argument("--wait", default="10", help="how long the workflow waits, in seconds (default: 10)")
    parser.add_argument("--host", help="URL of a deployment, without /event; --wait is then its own")
    parser.add_argument(
        "--body",
        type=event,
        help="the event to send, as JSON text or as @FILE (default: one with a new name each time)",
    )
    return parser


def main() -> int:
    """Run and return Locust's exit status: 0 only if every response was correct."""
    options = arguments().parse_args()
    REPORT.parent.mkdir(exist_ok=True)
    with nullcontext(options.host.rstrip("/")) if options.host else local_stack(options.wait) as url:
        locust = [
            *(
                sys.executable,
                "-m",
                "locust",
                "--headless",
                "--only-summary",
                "--locustfile",
                "tests/load/locustfile.py",
            ),
            *("--host", url, "--users", str(options.users), "--spawn-rate", str(min(100, max(10, options.users // 4)))),
            *("--run-time", options.duration, "--stop-timeout", "60", "--html", str(REPORT)),
        ]
        status = subprocess.run(locust, cwd=ROOT, env=os.environ | {BODY: options.body or ""}, check=False).returncode
    print(f"report: {REPORT.relative_to(ROOT)}")  # noqa: T201 - a command-line tool
    return status


if __name__ == "__main__":
    sys.exit(main())

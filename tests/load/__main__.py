"""Locust, headless, against a local stack of its own: `python -m tests.load`. The report goes to build/load.html."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "build" / "load.html"


@contextmanager
def local_stack(wait: str) -> Iterator[str]:
    """Run service and local AWS in one process on free ports; yield its URL once it is ready."""
    command = [sys.executable, "-m", "service", "local", "--wait", wait]
    free_ports = {"HOST": "127.0.0.1", "PORT": "0", "LOCAL_AWS_PORT": "0", "LOG_LEVEL": "WARNING"}
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | free_ports, stdout=subprocess.PIPE, text=True) as stack:
        try:
            assert stack.stdout is not None
            url = stack.stdout.readline().split()[2]
            await_ready(url)
            yield url
        finally:
            stack.send_signal(signal.SIGINT)


def await_ready(url: str) -> None:
    """Wait until the service may take traffic; raise TimeoutError after 30 seconds."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):  # noqa: S310 - our own address
                return
        except URLError:
            time.sleep(0.1)
    raise TimeoutError("the local stack did not become ready")


def main() -> int:
    """Run and return locust's exit status: 0 only if every answer was right."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("--users", type=int, default=200, help="callers at once (default: 200)")
    parser.add_argument("--duration", default="30s", help="how long, for example 30s or 5m (default: 30s)")
    parser.add_argument("--wait", default="10", help="the workflow's wait in seconds (default: 10)")
    options = parser.parse_args()
    REPORT.parent.mkdir(exist_ok=True)
    with local_stack(options.wait) as url:
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
        status = subprocess.run(locust, cwd=ROOT, check=False).returncode
    print(f"report: {REPORT.relative_to(ROOT)}")  # noqa: T201 - a command for people
    return status


if __name__ == "__main__":
    sys.exit(main())

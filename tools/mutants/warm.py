"""A process that forks for each run of pytest, after it has imported the libraries: `python -m tools.mutants.warm`.

Starting pytest anew takes longer than most runs: 3 seconds of CPU time, forked 1. A request is a line of JSON with the
arguments of pytest and the file for its output. The first response is the id of the process, which is also that of its
group; the second is its exit status.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from typing import Final

import pytest

LIBRARIES: Final = (
    *("aioboto3", "aiohttp.test_utils", "aiohttp.web", "botocore.session", "cryptography.x509", "jsonschema_rs"),
    *("msgspec", "orjson", "prometheus_client", "pydantic_settings", "structlog", "uvloop"),
    *("websockets.asyncio.client", "websockets.asyncio.server"),
)
"""Without plugins of pytest, and so without Hypothesis: pytest has to import these itself."""


def main() -> None:
    """Serve requests until standard input ends."""
    for name in LIBRARIES:
        importlib.import_module(name)
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            os._exit(_run(**json.loads(line)))
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(arguments: list[str], log: str) -> int:
    os.setsid()
    nothing, output = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for old, new in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(old, new)
    try:
        return int(pytest.main(arguments))
    except BaseException:  # noqa: BLE001 - nothing may return into the loop that forks
        traceback.print_exc()
        return 3
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    main()

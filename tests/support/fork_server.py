"""A process that has imported the service and forks for each run of it: `python -m tests.support.fork_server`.

Nearly all of the CPU time of a start is for imports: one second, and two with coverage. A request comes through the
socket at standard input: a line of JSON, and the descriptors of the run's standard output, its standard error, and the
file that gets its process id at the start and its exit status at the end.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
from typing import Final

IMPORTED: Final = ("service.app.cli", "service.app.local", "service.telemetry.output")
MAX_REQUEST: Final = 100_000


def main() -> None:
    """Serve requests until the other end of the socket is closed."""
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()  # a collection would copy the memory of all that is shared
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that report
    with socket.socket(fileno=0) as requests:
        while True:
            request, descriptors, _, _ = socket.recv_fds(requests, MAX_REQUEST, 3)
            if not request:
                return
            if os.fork() == 0:
                break
            for descriptor in descriptors:
                os.close(descriptor)
    _report(descriptors.pop())
    _run(descriptors, **json.loads(request))


def _report(status: int) -> None:
    """Fork; return in the new process, and report about it in this one."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    process = os.fork()
    if process:
        os.write(status, b"%d\n" % process)
        _, ended = os.waitpid(process, 0)
        os.write(status, b"%d\n" % os.waitstatus_to_exitcode(ended))
        os._exit(0)
    os.close(status)


def _run(outputs: list[int], arguments: list[str], env: dict[str, str], folder: str) -> None:
    """Run `python -m service` as a process of its own would."""
    os.open(os.devnull, os.O_RDONLY)  # in the place of the socket, standard input
    for number, output in enumerate(outputs, 1):
        os.dup2(output, number)
        os.close(output)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.argv[1:] = arguments
    runpy.run_module("service", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

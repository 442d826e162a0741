"""`python -m service` and the `sync-front` command: see `service.app.cli`."""

import os
import signal
import sys
from typing import Final

NOT_INSTALLED: Final = "{} is not installed. Run `pip install .` first, or in a clone `make run`, which sets up .venv."


def main() -> int:
    """Give the signals their defaults, protect the output, run the command line and return its exit status."""
    _end_on_signals()
    try:
        from service.app.cli import main as run  # noqa: PLC0415 - its imports take longest, so the signals come first
        from service.telemetry import output  # noqa: PLC0415 - the same
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("service"):
            raise
        print(NOT_INSTALLED.format(error.name), file=sys.stderr)  # noqa: T201 - for the person at the terminal
        return 1

    output.protect()
    return run()


def _end_on_signals() -> None:
    """Let signals end the process without a traceback until the service handles them.

    The kernel does not even deliver the default action of a signal to the first process of a container.
    """
    if os.getpid() == 1:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _frame: os._exit(128 + number))
    else:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())

"""`python -m service`: see `service.cli`."""

import signal
import sys

# Until the service takes its signals over, Ctrl-C just ends the process, without a traceback out of some import.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from service.cli import main  # noqa: E402 - the imports below it take most of the start

sys.exit(main())

"""`python -m service`: see `service.app.cli`."""

import os
import signal
import sys

# Until the service takes its signals over, they just end the process, without a traceback out of some import. The
# first process of a container is not even sent those that it does not handle by itself.
if os.getpid() == 1:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: os._exit(128 + number))
else:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from service.app.cli import main

sys.exit(main())

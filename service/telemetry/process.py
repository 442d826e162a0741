"""Metrics of the process, with the names that all client libraries of Prometheus use.

prometheus-client's own collector lists the open files to count them, which stops the event loop for up to 0.1 s when
there are 20,000.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

_PROC: Final = Path("/proc/self")
_PAGE_BYTES: Final = resource.getpagesize()


class ProcessCollector(Collector):
    """A collector for the Prometheus registry; without `/proc`, as on macOS, it leaves out memory and files."""

    def __init__(self) -> None:
        self._started = time.time()

    def collect(self) -> Iterator[Metric]:
        """Read everything now."""
        yield GaugeMetricFamily(
            "process_start_time_seconds", "When the service started, in seconds since the epoch.", self._started
        )
        yield CounterMetricFamily("process_cpu_seconds", "CPU time, user and system.", time.process_time())
        yield GaugeMetricFamily(
            "process_max_fds", "Limit of open files.", resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        )
        if _PROC.is_dir():
            virtual, resident = (_PROC / "statm").read_text("ascii").split()[:2]
            yield GaugeMetricFamily("process_virtual_memory_bytes", "Virtual memory.", int(virtual) * _PAGE_BYTES)
            yield GaugeMetricFamily(
                "process_resident_memory_bytes",
                "Resident memory, pages of files included.",
                int(resident) * _PAGE_BYTES,
            )
            yield GaugeMetricFamily("process_open_fds", "Open files, connections included.", _open_files())


def _open_files() -> int:
    """Return their number: since Linux 6.2 it is the folder's size, which was 0 before."""
    return (_PROC / "fd").stat().st_size or len(os.listdir(_PROC / "fd"))  # noqa: PTH208 - a path for each would take much longer

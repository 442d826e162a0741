from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from service.telemetry import process
from service.telemetry.process import ProcessCollector


def values() -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(ProcessCollector())
    return {sample.name: sample.value for family in registry.collect() for sample in family.samples}


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="only Linux has /proc")
def test_the_figures_are_those_of_this_process() -> None:
    before = values()
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(10)]
    now = values()
    for file in files:
        os.close(file)
    assert now["process_open_fds"] == before["process_open_fds"] + 10
    assert now["process_max_fds"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert 10e6 < now["process_resident_memory_bytes"] < now["process_virtual_memory_bytes"]
    assert 0 < before["process_cpu_seconds_total"] <= now["process_cpu_seconds_total"]
    assert now["process_start_time_seconds"] == pytest.approx(time.time(), abs=60)


def test_a_system_without_proc_has_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process, "_PROC", tmp_path / "none")
    assert set(values()) == {"process_start_time_seconds", "process_cpu_seconds_total", "process_max_fds"}


def test_files_are_listed_where_their_folder_does_not_tell_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "stat", lambda _self: os.stat_result((0,) * 10))
    monkeypatch.setattr(os, "listdir", lambda _: ["0", "1"])
    assert process._open_files() == 2

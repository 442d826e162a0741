from __future__ import annotations

import resource

import pytest

from service.app import fd_limits
from service.app.fd_limits import ConnectionLimits


def test_the_soft_limit_of_open_files_is_raised_to_the_hard_one() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))
    try:
        assert fd_limits.raise_open_files() == hard
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
        assert fd_limits.raise_open_files() == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_soft_limit_stays_if_the_system_refuses_the_hard_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_kind: int, _limits: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert fd_limits.raise_open_files() == 256


@pytest.mark.parametrize(
    ("max_in_flight", "open_files", "limits"),
    [
        (100, 1000, ConnectionLimits(100, 162, 31)),
        (1000, 1000, ConnectionLimits(776, 838, 31)),
        (1000, 50, ConnectionLimits(1, 4, 1)),
        (1000, 1_000_000, ConnectionLimits(1000, 2024, 1024)),
        (1000, resource.RLIM_INFINITY, ConnectionLimits(1000, 2024, 1024)),
    ],
)
def test_requests_and_connections_fit_into_the_limit_of_open_files(
    max_in_flight: int, open_files: int, limits: ConnectionLimits
) -> None:
    assert fd_limits.connection_limits(max_in_flight, open_files, reserved=100) == limits
    if open_files > 100:
        assert limits.connections + 2 * limits.backlog + 100 <= open_files or open_files == resource.RLIM_INFINITY

from __future__ import annotations

import resource

import pytest

from service.app import fd_limits
from service.app.fd_limits import Room


def test_the_soft_limit_of_open_files_is_raised_to_the_hard_one() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))
    try:
        assert fd_limits.raise_open_files() == hard
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
        assert fd_limits.raise_open_files() == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_system_that_refuses_the_hard_limit_keeps_its_soft_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_kind: int, _limits: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert fd_limits.raise_open_files() == 256


@pytest.mark.parametrize(
    ("wanted", "open_files", "room"),
    [
        (100, 1000, Room(100, 162, 31)),
        (1000, 1000, Room(776, 838, 31)),
        (1000, 50, Room(1, 4, 1)),
        (1000, 1_000_000, Room(1000, 2024, 1024)),
        (1000, resource.RLIM_INFINITY, Room(1000, 2024, 1024)),
    ],
)
def test_no_more_requests_are_held_and_connections_kept_than_files_can_be_open(
    wanted: int, open_files: int, room: Room
) -> None:
    assert fd_limits.fit(wanted, open_files, reserved=100) == room
    if open_files > 100:
        assert room.connections + 2 * room.backlog + 100 <= open_files or open_files == resource.RLIM_INFINITY

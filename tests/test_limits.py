from __future__ import annotations

import resource

import pytest

from service import limits


def test_the_soft_limit_of_open_files_is_raised_to_the_hard_one() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))
    try:
        assert limits.raise_open_files() == hard
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
        assert limits.raise_open_files() == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_system_that_refuses_the_hard_limit_keeps_its_soft_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_kind: int, _limits: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert limits.raise_open_files() == 256


@pytest.mark.parametrize(
    ("wanted", "open_files", "fitting"),
    [(100, 1000, 100), (1000, 1000, 900), (1000, 50, 1), (1000, resource.RLIM_INFINITY, 1000)],
)
def test_no_more_requests_are_held_than_files_can_be_open(wanted: int, open_files: int, fitting: int) -> None:
    assert limits.fitting_in_flight(wanted, open_files, reserved=100) == fitting

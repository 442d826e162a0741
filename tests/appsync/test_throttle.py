from __future__ import annotations

from service.appsync.throttle import Throttle


def test_one_item_per_kind_and_interval_is_admitted_with_the_number_suppressed() -> None:
    throttle = Throttle(10.0)
    assert [throttle.admit("error", now) for now in (0.0, 1.0, 9.9, 10.0, 19.0, 40.0)] == [0, None, None, 2, None, 1]


def test_each_kind_has_its_own_interval() -> None:
    throttle = Throttle(10.0)
    assert [throttle.admit(kind, 5.0) for kind in ("error", "warning", "error", "warning")] == [0, 0, None, None]

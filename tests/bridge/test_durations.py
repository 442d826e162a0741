from __future__ import annotations

import pytest

from service.bridge.durations import Durations


def test_the_estimated_time_left_is_that_of_a_typical_execution() -> None:
    durations = Durations()
    assert durations.remaining(4) == 4  # nothing is known, so as long again
    durations.add(10)
    assert durations.remaining(4) == 6
    assert durations.remaining(13) == 3  # overdue
    for _ in range(100):
        durations.add(20)
    assert durations.typical_seconds == pytest.approx(20, rel=0.01)

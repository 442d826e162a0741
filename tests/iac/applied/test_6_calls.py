"""Calls: each call of the provider, from the first apply to the destroy, fits AWS's service models"""

from __future__ import annotations

import pytest

from tests.iac.applied.calls import Call, read
from tests.iac.applied.world import World

pytestmark = [pytest.mark.iac, pytest.mark.timeout(2000)]


@pytest.fixture(scope="module")
def calls(world: World) -> list[Call]:
    return read(world.calls)


def test_the_provider_called_every_service(calls: list[Call]) -> None:
    assert len(calls) > 500
    assert len({call.name for call in calls}) > 100
    assert {"cloudformation", "ecs", "events", "iam", "stepfunctions", "wafv2"} <= {call.service for call in calls}


def test_every_call_fits_the_model_of_its_service(calls: list[Call]) -> None:
    assert sorted({violation for call in calls for violation in call.violations()}) == []

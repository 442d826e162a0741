"""Calls: each call of the provider, from the first apply to the destroy, fits AWS's service models"""

from __future__ import annotations

import pytest

from tests.iac.applied.calls import Call, read, service_model
from tests.iac.applied.world import World
from tools.preflight import rights

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


def test_the_preflight_asks_about_every_permission_that_the_provider_used(calls: list[Call]) -> None:
    needed = {action(call) for call in calls if call.service != "sts"}  # everyone may ask who they are
    assert needed - {name for group in rights.groups() for name in group.actions} == set()
    assert {name for group in rights.groups() for name in group.provider} - needed == set()


def action(call: Call) -> str:
    """Return the IAM action of a call (Service Authorization Reference)."""
    if call.service in {"apigateway", "apigatewayv2"}:  # these have an action for each method of HTTP
        return f"apigateway:{service_model(call.service).operation_model(call.operation).http['method']}"
    prefixes = {"elbv2": "elasticloadbalancing", "stepfunctions": "states"}
    return f"{prefixes.get(call.service, call.service)}:{call.operation}"

from __future__ import annotations

import pytest

from service.errors import Throttled
from service.stepfunctions import budget
from service.stepfunctions.budget import Budget
from service.stepfunctions.client import StepFunctionsClient
from service.stepfunctions.redriver import Redriver
from service.stepfunctions.token_bucket import Quota
from tests.support.step_functions import ScriptedStepFunctions, error, ok


async def test_a_throttled_redrive_is_repeated_with_another_token(
    endpoint: ScriptedStepFunctions, client: StepFunctionsClient
) -> None:
    endpoint.script("RedriveExecution", error("ThrottlingException"), ok(redriveDate=1.0))
    await Redriver(client, Budget(Quota(10, 100))).redrive("exec-1", 1)
    assert [call["clientToken"] for _, call in endpoint.calls] == ["exec-1.1"] * 2


async def test_without_a_token_nothing_is_called(
    endpoint: ScriptedStepFunctions, client: StepFunctionsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "TOKEN_TIMEOUT_S", 0.0)
    endpoint.script("RedriveExecution", ok(redriveDate=1.0))
    redriver = Redriver(client, Budget(Quota(1, 1 / 100)))
    await redriver.redrive("exec-1", 1)
    with pytest.raises(Throttled):
        await redriver.redrive("exec-2", 1)
    assert endpoint.count("RedriveExecution") == 1

"""Our client, and the scripted endpoint that it calls."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from service.stepfunctions.client import StepFunctionsClient
from tests.support.step_functions import ScriptedStepFunctions, step_functions_client


@pytest.fixture
async def endpoint() -> AsyncIterator[ScriptedStepFunctions]:
    async with ScriptedStepFunctions() as scripted:
        yield scripted


@pytest.fixture
async def client(endpoint: ScriptedStepFunctions) -> AsyncIterator[StepFunctionsClient]:
    async with step_functions_client(endpoint.url) as opened:
        yield opened

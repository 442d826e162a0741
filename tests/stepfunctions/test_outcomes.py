from __future__ import annotations

import pytest

from service.stepfunctions.client import StepFunctionsClient
from service.stepfunctions.outcomes import Aborted, Failed, Outcome, Succeeded, TimedOut
from tests.support.outcomes import success
from tests.support.step_functions import (
    ARN,
    ScriptedStepFunctions,
    described,
)


@pytest.mark.parametrize(
    ("record", "outcome"),
    [
        ({"status": "RUNNING"}, None),
        ({"status": "PENDING_REDRIVE"}, None),
        ({"status": "SUCCEEDED", "output": '{"nome completo": "A B"}'}, success({"nome completo": "A B"})),
        ({"status": "SUCCEEDED"}, Failed("UnreadableOutput")),
        ({"status": "SUCCEEDED", "output": '"cut'}, Failed("UnreadableOutput")),
        ({"status": "SUCCEEDED", "output": "[" * 20_000 + "]" * 20_000}, Failed("UnreadableOutput")),
        ({"status": "SUCCEEDED", "output": '"\\ud800"'}, Succeeded(b'"\\ud800"')),
        ({"status": "SUCCEEDED", "output": '"\ud800"'}, Succeeded(b'"\\ud800"')),
        (
            {"status": "SUCCEEDED", "output": " [1e400, 12345678901234567890123] "},
            Succeeded(b"[1e400, 12345678901234567890123]"),
        ),
        ({"status": "FAILED", "error": "Broken", "cause": "private"}, Failed("Broken")),
        ({"status": "FAILED"}, Failed("")),
        ({"status": "ABORTED"}, Aborted()),
        ({"status": "TIMED_OUT"}, TimedOut()),
    ],
)
async def test_a_record_becomes_a_typed_outcome(
    endpoint: ScriptedStepFunctions, client: StepFunctionsClient, record: dict[str, str], outcome: Outcome | None
) -> None:
    endpoint.script("DescribeExecution", described(input="{}", **record))
    execution = await client.describe("exec-1")
    assert (execution.id, execution.input, execution.outcome) == ("exec-1", "{}", outcome)
    assert endpoint.calls[0][1] == {"executionArn": ARN.execution("exec-1")}

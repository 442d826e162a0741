"""Data like that of a real run: the input of an execution, and the event with which EventBridge reports its end."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = Any

# No execution has this id.
EXECUTION = "exec-00000000-0000-4000-8000-000000000000"

# A request of the demonstration workflow.
REQUEST = {"nome": "Ricardo", "sobrenome": "Marques"}


@dataclass(frozen=True)
class Requests:
    """A request to each workflow."""

    others: Json = field(default_factory=REQUEST.copy)
    """That of each workflow which is not named."""
    by_name: Mapping[str, Json] = field(default_factory=dict)

    def of(self, workflow: str) -> Json:
        """Return a request of a workflow."""
        return self.by_name.get(workflow, self.others)


def envelope(request: Json, namespace: str) -> Json:
    """Return the input of an execution."""
    return {"id": EXECUTION, "event": json.dumps(request), "reply": {"channel": f"{namespace}/preflight/{EXECUTION}"}}


def status_change(machine: str, status: str, request: Json, namespace: str) -> Json:
    """Return an event as AWS sends it (EventBridge reference, "Step Functions Execution Status Change")."""
    region, account = machine.split(":")[3:5]
    execution = f"{machine.replace(':stateMachine:', ':execution:')}:{EXECUTION}"
    ended = status != "RUNNING"
    return {
        "version": "0",
        "id": "00000000-0000-4000-8000-000000000001",
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "account": account,
        "time": "2026-01-01T00:00:00Z",
        "region": region,
        "resources": [execution],
        "detail": {
            "executionArn": execution,
            "stateMachineArn": machine,
            "name": EXECUTION,
            "status": status,
            "startDate": 1767225600000,
            "stopDate": 1767225601000 if ended else None,
            "input": json.dumps(envelope(request, namespace)),
            "inputDetails": {"included": True},
            "output": json.dumps({}) if status == "SUCCEEDED" else None,
            "outputDetails": {"included": True} if status == "SUCCEEDED" else None,
            "error": "States.TaskFailed" if status == "FAILED" else None,
            "cause": "preflight" if status == "FAILED" else None,
            "redriveCount": 0,
        },
    }

"""The history of an execution, as GetExecutionHistory returns it: its start and, once it has ended, its end.

The states in between are left out: the service does not read them, and they would take more memory than the execution.
Source: AWS Step Functions API Reference, "GetExecutionHistory" and "HistoryEvent".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from service.local.executions import Execution
    from service.local.json_text import Json

_END_EVENTS: Final = {
    "SUCCEEDED": "ExecutionSucceeded",
    "FAILED": "ExecutionFailed",
    "TIMED_OUT": "ExecutionTimedOut",
    "ABORTED": "ExecutionAborted",
}


def events(execution: Execution, status: str, *, data: bool) -> list[dict[str, Json]]:
    """List the events up to this status, oldest first; `data` includes input and output."""
    started = {"roleArn": execution.arn.replace(":states:", ":iam:").partition(":execution:")[0] + ":role/local"}
    history = [
        _event(1, execution.start_date, "ExecutionStarted", started | _data("input", execution.input, included=data))
    ]
    if (kind := _END_EVENTS.get(status)) is not None and execution.stop_date is not None:
        details: dict[str, Json] = {
            name: value for name, value in (("error", execution.error), ("cause", execution.cause)) if value is not None
        }
        if execution.output is not None:
            details = _data("output", execution.output, included=data)
        history.append(_event(2, execution.stop_date, kind, details))
    return history


def _event(number: int, timestamp: float, kind: str, details: dict[str, Json]) -> dict[str, Json]:
    member = f"{kind[0].lower()}{kind[1:]}EventDetails"
    return {"timestamp": timestamp, "type": kind, "id": number, "previousEventId": number - 1, member: details}


def _data(member: str, text: str, *, included: bool) -> dict[str, Json]:
    return {member: text, f"{member}Details": {"truncated": False}} if included else {}

"""The history of an execution, as GetExecutionHistory returns it.

The newest executions have all their events, 20,000 together. Of older ones only the start and the end are kept: the
states in between take more memory than the execution.
Source: AWS Step Functions API Reference, "GetExecutionHistory" and "HistoryEvent".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from service.local.json_text import dumps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.local.asl.run import Event
    from service.local.execution import Execution
    from service.local.json_text import Json

END_EVENTS: Final = {
    "SUCCEEDED": "ExecutionSucceeded",
    "FAILED": "ExecutionFailed",
    "TIMED_OUT": "ExecutionTimedOut",
    "ABORTED": "ExecutionAborted",
}
"""The event with which an execution of each status has ended."""

_DATA: Final = {"input", "output"}
_OF_A_STATE = re.compile(r"\w+State(Entered|Exited)")


def events(execution: Execution, *, data: bool) -> list[dict[str, Json]]:
    """List the events up to its status, oldest first; `data` includes input and output."""
    started = {"roleArn": execution.arn.replace(":states:", ":iam:").partition(":execution:")[0] + ":role/local"}
    history = [_event(1, 0, execution.start_date, "ExecutionStarted", started | _data("input", execution.input, data))]
    for event in execution.events:
        details = _details(event, data)
        history.append(_event(len(history) + 1, event.previous + 1, event.timestamp, event.kind, details))
    if (kind := END_EVENTS.get(execution.status)) is not None and execution.stop_date is not None:
        details = failure(execution)
        if execution.output is not None:
            details = _data("output", execution.output, data)
        history.append(_event(len(history) + 1, len(history), execution.stop_date, kind, details))
    return history


def failure(execution: Execution) -> dict[str, Json]:
    """Return the error and the cause of an execution, as far as it has them."""
    optional = {"error": execution.error, "cause": execution.cause}
    return {name: value for name, value in optional.items() if value is not None}


def _event(number: int, previous: int, timestamp: float, kind: str, details: Mapping[str, Json]) -> dict[str, Json]:
    event = {"timestamp": timestamp, "type": kind, "id": number, "previousEventId": previous}
    return event | {_member(kind): details} if details else event


def _member(kind: str) -> str:
    """Return the name of the details: those of all states that are entered share one, as those that are left do."""
    if (state := _OF_A_STATE.fullmatch(kind)) is not None:
        kind = f"State{state[1]}"
    return f"{kind[0].lower()}{kind[1:]}EventDetails"


def _details(event: Event, included: bool) -> dict[str, Json]:
    details: dict[str, Json] = {}
    for name, value in event.details.items():
        if name in _DATA:
            details |= _data(name, dumps(value), included)
        elif name != "parameters":
            details[name] = value
        elif included:
            details[name] = dumps(value)
    return details


def _data(member: str, text: str, included: bool) -> dict[str, Json]:
    return {member: text, f"{member}Details": {"truncated": False}} if included else {}

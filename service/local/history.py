"""The history of an execution, as GetExecutionHistory returns it: its start, the states entered, and its end.

Exits of states, and the steps of tasks, are left out: nothing here reads them, and they would take more memory than the
execution.
Source: AWS Step Functions API Reference, "GetExecutionHistory" and "HistoryEvent".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from service.local.json_text import loads

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from service.local.executions import Execution
    from service.local.json_text import Json

_END_EVENTS: Final = {
    "SUCCEEDED": "ExecutionSucceeded",
    "FAILED": "ExecutionFailed",
    "TIMED_OUT": "ExecutionTimedOut",
    "ABORTED": "ExecutionAborted",
}


def state_types(definition: str) -> dict[str, str]:
    """Return the type of each state in a definition; their names are unique in it."""
    return dict(_types(loads(definition)))


def events(execution: Execution, status: str, types: Mapping[str, str], *, data: bool) -> list[dict[str, Json]]:
    """List the events up to this status, oldest first; `data` includes input and output."""
    started = {"roleArn": execution.arn.replace(":states:", ":iam:").partition(":execution:")[0] + ":role/local"}
    details: dict[str, Json] = started | _data("input", execution.input, included=data)
    history = [_event(1, execution.start_date, "ExecutionStarted", details)]
    for state, entered in execution.states:
        details = {"name": state}
        history.append(_event(len(history) + 1, entered, f"{types[state]}StateEntered", details, "stateEntered"))
    if (kind := _END_EVENTS.get(status)) is not None and execution.stop_date is not None:
        details = {
            name: value for name, value in (("error", execution.error), ("cause", execution.cause)) if value is not None
        }
        if execution.output is not None:
            details = _data("output", execution.output, included=data)
        history.append(_event(len(history) + 1, execution.stop_date, kind, details))
    return history


def _types(part: Json) -> Iterator[tuple[str, str]]:
    if isinstance(part, dict):
        for name, state in part.get("States", {}).items():
            yield name, state["Type"]
            for inner in state.values():
                for flow in inner if isinstance(inner, list) else [inner]:
                    yield from _types(flow)


def _event(
    number: int, timestamp: float, kind: str, details: dict[str, Json], member: str | None = None
) -> dict[str, Json]:
    member = f"{member or kind[0].lower() + kind[1:]}EventDetails"
    return {"timestamp": timestamp, "type": kind, "id": number, "previousEventId": number - 1, member: details}


def _data(member: str, text: str, *, included: bool) -> dict[str, Json]:
    return {member: text, f"{member}Details": {"truncated": False}} if included else {}

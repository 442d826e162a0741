"""What Step Functions' record says about executions, read from its responses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from service.stepfunctions import json_text
from service.stepfunctions.outcomes import Aborted, Failed, Outcome, Succeeded, TimedOut

_ENTERED: Final = "stateEnteredEventDetails"
_ENDS: Final = frozenset({"ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"})


@dataclass(frozen=True, slots=True)
class Execution:
    """Step Functions' record of an execution."""

    id: str
    """Its name, by which callers know it."""
    input: str
    """Its input, as JSON text; empty if the record withholds it."""
    outcome: Outcome | None
    """How it ended; None while it runs."""
    seconds: float
    """How long it took, or has run so far, since it was last redriven."""
    started_at: float | None = None
    """When it was started, in seconds since the epoch by AWS's clock; None if the record does not say."""
    redrives: int = 0
    """How often it was redriven."""
    redrive_refusal: str = ""
    """Why AWS does not redrive it now; empty if it would."""


class Started(NamedTuple):
    """A start that was confirmed."""

    at: float | None
    """When the execution was started, in seconds since the epoch by AWS's clock, perhaps by an earlier call; None if it
    is not known."""
    attempts: int
    """How many times StartExecution was called."""


@dataclass(frozen=True, slots=True)
class End:
    """How an execution ended."""

    outcome: Outcome
    redrives: int | None
    """After how many redrives; None if what was read does not say."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing."""

    names: list[str]
    """The ids of executions, newest first."""
    next_token: str | None
    """The token of the next page; None on the last one."""
    oldest_start: float = math.inf
    """When the last of them was started, in seconds since the epoch by AWS's clock; infinite if none says so."""


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """One page of an execution's history."""

    entered: list[tuple[int, str]]
    """The states that were entered, newest first: id of the event, and name of the state."""
    oldest: int
    """The id of the oldest event on the page; 0 if there is none."""
    ended: bool
    """Whether the newest event on the page is the end of the execution."""
    next_token: str | None
    """The token of the page with the events before these; None on the last one."""
    redrives: int = 0
    """How often it was redriven, as far as the events on the page show."""


def page(listing: dict[str, Any]) -> Page:
    """Read a response of ListExecutions."""
    executions: list[dict[str, Any]] = listing["executions"]
    # A redrive may move an execution to the front, and keeps its date.
    starts = (start for item in reversed(executions) if not item.get("redriveCount") and (start := _start_date(item)))
    return Page([item["name"] for item in executions], listing.get("nextToken"), next(starts, math.inf))


def started(response: dict[str, Any], attempts: int) -> Started:
    """Read a response of StartExecution, the last of so many attempts."""
    response["executionArn"]  # a response without it is malformed
    return Started(_start_date(response), attempts)


def _start_date(record: dict[str, Any]) -> float | None:
    """Return the date of a start; None if it is missing or no number, as nothing but speed depends on it."""
    start = record.get("startDate")
    return float(start) if isinstance(start, int | float) else None


def history_page(page: dict[str, Any]) -> HistoryPage:
    """Read a response of GetExecutionHistory, newest event first."""
    events: list[dict[str, Any]] = page["events"]
    # Every kind of state has a type of its own, such as TaskStateEntered, and they share the name of the details.
    entered = [(int(event["id"]), str(event[_ENTERED]["name"])) for event in events if _ENTERED in event]
    ended = bool(events) and events[0]["type"] in _ENDS
    redriven = (event.get("executionRedrivenEventDetails", {}).get("redriveCount", 0) for event in events)
    redrives = max(map(int, redriven), default=0)
    return HistoryPage(entered, int(events[-1]["id"]) if events else 0, ended, page.get("nextToken"), redrives)


def last_event(events: list[dict[str, Any]]) -> Outcome | None:
    """Read how an execution ended from the newest events of its history; None if it is running."""
    last: dict[str, Any] = events[0] if events else {}
    match last.get("type"):
        case "ExecutionSucceeded":
            return _succeeded(last["executionSucceededEventDetails"])
        case "ExecutionFailed":
            return Failed.named(last.get("executionFailedEventDetails", {}).get("error"))
        case "ExecutionAborted":
            return Aborted()
        case "ExecutionTimedOut":
            return TimedOut()
    return None


def duration_s(record: dict[str, Any], now: float) -> float:
    """Return how many seconds an execution took, or has run so far, from a response of DescribeExecution.

    The time before its last redrive does not count. `now` is the time by AWS's clock.
    """
    end = float(record.get("stopDate", now))
    start = float(record.get("redriveDate") or record.get("startDate", end))
    return max(0.0, end - start)  # the two may be times of different clocks


def execution(record: dict[str, Any], id_: str, now: float) -> Execution:
    """Read a response of DescribeExecution; `now` is the time by AWS's clock."""
    return Execution(
        id_,
        record.get("input", ""),
        outcome(record),
        duration_s(record, now),
        _start_date(record),
        int(record.get("redriveCount") or 0),
        str(record.get("redriveStatusReason") or ""),
    )


def outcome(record: dict[str, Any]) -> Outcome | None:
    """Read how an execution ended from a response of DescribeExecution; None if it is running."""
    match record["status"]:
        case "SUCCEEDED":
            return _succeeded(record)
        case "FAILED":
            return Failed.named(record.get("error"))
        case "ABORTED":
            return Aborted()
        case "TIMED_OUT":
            return TimedOut()
    return None  # RUNNING or PENDING_REDRIVE


def _succeeded(record: dict[str, Any]) -> Outcome:
    try:
        return Succeeded(json_text.raw(record["output"]))
    except (KeyError, ValueError):
        # The record withholds the output, or it is nested too deeply: there is nothing to respond with.
        return Failed("UnreadableOutput")

"""The history of responses, and its check against the record of Step Functions: no fault excuses a wrong response.

The record is the local AWS's own; nothing here relies on what the service reports.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

NOTHING_STARTED = {
    *("caller-share-exceeded", "caller-rate-exceeded"),
    *("at-capacity", "draining", "link-down", "throttled", "unreachable"),
}
"""Problems, by the last part of their type, that state that nothing was started."""

NO_ROOM = {"at-capacity", "throttled"}
"""Problems, by the last part of their type, of requests that found no place."""

MAX_MEDIAN_S = 1.5
"""How much longer than its workflow half of the requests may take while another workflow stands still. A start that
finds no place takes five seconds."""

MAX_LOOKUP_DELAY_S = 2.5
"""An outcome that is older than this at the end of a wait should have been found."""

OUTCOMES = {200, 502, 504}
"""Statuses of responses with the outcome of an execution."""


def problem_type(body: Any) -> str:
    """Return the last part of a problem's type; empty if the response is not a problem."""
    return str(body.get("type", "")).rpartition(":")[2] if isinstance(body, dict) else ""


@dataclass(slots=True)
class Call:
    """One POST of a caller with its response, and the later responses of its Location."""

    event: dict[str, Any]
    """The body that was sent; its `nome` is unique, except among calls with the same key."""
    key: str | None = None
    """Its Idempotency-Key."""
    path: str = "/event"
    """The path of its workflow."""
    status: int | None = None
    """None if there was no response."""
    body: Any = None
    location: str | None = None
    seconds: float = 0.0
    """How long it took."""
    at: float = 0.0
    """When the response arrived, in epoch seconds."""
    waits: bool = False
    """Whether it waits as long as the service allows."""
    ended: str = ""
    """Why there was no response."""
    later: list[tuple[int, Any]] = field(default_factory=list)
    """Statuses and bodies of its Location."""
    across: int | None = None
    """The status of its Location for another caller, if callers are apart."""
    reads: list[tuple[str, float]] = field(default_factory=list)
    """Of each read of its Location without a wait: the last part of the problem's type, and the seconds it took."""

    @property
    def id(self) -> str | None:
        """The execution id in the response."""
        return self.body.get("id") if isinstance(self.body, dict) else None

    @property
    def ending(self) -> str:
        """A short label: the status, with the problem for a 503, or why there was no response."""
        return f"{self.status} {self.problem}".rstrip() if self.status == 503 else str(self.status or self.ended)

    @property
    def problem(self) -> str:
        """The last part of the problem's type; empty if the response is not a problem."""
        return problem_type(self.body)


@dataclass(frozen=True, slots=True)
class Record:
    """The record of an execution at Step Functions."""

    status: str
    event: dict[str, Any]
    """The body of the POST that started it."""
    output: Any = None
    error: str | None = None
    ended_at: float | None = None
    """In epoch seconds."""

    @classmethod
    def read(cls, execution: Any) -> Record:
        """Convert an execution of the local AWS."""
        output = None if execution.output is None else json.loads(execution.output)
        event = json.loads(json.loads(execution.input)["event"])
        return cls(execution.status, event, output, execution.error, execution.stop_date)


def check(calls: Iterable[Call], records: Mapping[str, Record], left_over: Mapping[str, int]) -> list[str]:
    """Return every broken guarantee, one line each."""
    calls = list(calls)
    starts = Counter(json.dumps(record.event, sort_keys=True) for record in records.values())
    faults = [fault for call in calls for fault in _faults_of(call, records, starts)]
    posts = Counter(_sent_event(call) for call in calls if call.key is None)
    posts.update(dict.fromkeys((_sent_event(call) for call in calls if call.key is not None), 1))
    faults += [
        f"started {starts[event]} times for {count} POST: {event[:100]}"
        for event, count in posts.items()
        if starts[event] > count
    ]
    faults += [f"started without a POST: {event[:100]}" for event in starts if event not in posts]
    faults += [f"left over: {count} {name}" for name, count in left_over.items() if count]
    return faults


def missed_outcomes(calls: Iterable[Call], records: Mapping[str, Record]) -> list[str]:
    """Return the calls that waited in vain, one line each: the record already had the outcome when the wait ended."""
    return [
        f"missed: the outcome was in the record for {call.at - record.ended_at:.1f} s: {call}"[:400]
        for call in calls
        if call.waits
        and call.status == 202
        and (record := records.get(str(call.id))) is not None
        and record.ended_at is not None
        and record.ended_at < call.at - MAX_LOOKUP_DELAY_S
    ]


def crowded_out(calls: Iterable[Call]) -> list[str]:
    """Return the calls that were turned away, or whose Location was, because of other requests, one line each."""
    return [
        f"crowded out by {problem}: {call}"[:400]
        for call in calls
        for problem in {call.problem, *(problem for problem, _ in call.reads)} & NO_ROOM
    ]


def disturbed(calls: Iterable[Call], path: str) -> list[str]:
    """Return what the standstill of the workflow at `path` did to the calls of others, one line each."""
    others = [call for call in calls if call.path != path]
    faults = [f"no place because of {path}: {call}"[:400] for call in others if call.problem in NO_ROOM]
    took = [call.seconds - max(0.0, call.event.get("wait", 0.0)) for call in others if call.status in {200, 202, 502}]
    if took and statistics.median(took) > MAX_MEDIAN_S:
        faults.append(f"half of the responses took {statistics.median(took):.1f} s or more beside {path}")
    return faults


def _sent_event(call: Call) -> str:
    return json.dumps(call.event, sort_keys=True)


def _faults_of(call: Call, records: Mapping[str, Record], starts: Counter[str]) -> Iterator[str]:
    if call.status is None:
        if not call.ended:
            yield f"no response: {_sent_event(call)[:100]}"
        return
    yield from (f"{fault}: {call}"[:600] for fault in _mismatches(call.status, call.body, call, records))
    if call.across not in {None, 404, 503}:
        yield f"another caller got {call.across} for its Location: {call}"[:400]
    if call.status == 202 or call.location is not None:
        if call.location is None or call.id is None or not call.location.endswith(f"{call.path}/{call.id}"):
            yield f"202 without the URL of its own execution: {call}"[:400]
        elif not call.later or call.later[-1][0] not in OUTCOMES:
            yield f"lost: its Location never had an outcome: {call}"[:400]
        for status, body in call.later:
            if status == 404:
                yield f"its Location was not found: {call}"[:400]
            yield from (f"later {fault}: {call}"[:600] for fault in _mismatches(status, body, call, records))
    if call.problem in NOTHING_STARTED and call.key is None and starts[_sent_event(call)]:
        yield f"started, although the response said that nothing was: {call}"[:400]


def _mismatches(status: int, body: Any, call: Call, records: Mapping[str, Record]) -> Iterator[str]:
    """Compare one response with the record of the execution that it names."""
    if status not in {200, 202, 429, 502, 503, 504}:
        yield f"unexpected status {status}"
        return
    if not isinstance(body, dict):
        yield "not a JSON object"
        return
    if status in {429, 503}:
        return
    record = records.get(str(body.get("id")))
    if record is None:
        yield "invented: the execution does not exist"
        return
    if record.event != call.event:
        yield "another caller's execution"
    if (fault := _contradiction(status, body, call, record)) is not None:
        yield fault


def _contradiction(status: int, body: dict[str, Any], call: Call, record: Record) -> str | None:
    """Return how a response contradicts the record of its execution; None if it does not."""
    match status:
        case 200:
            output = {name: value for name, value in body.items() if name != "id"}
            expected = {"nome completo": f"{call.event.get('nome')} {call.event.get('sobrenome')}"}
            if record.status != "SUCCEEDED" or output != record.output:
                return f"invented: the record says {record.status}"
            if output != expected:
                return "another caller's result"
        case 502:
            if record.status not in {"FAILED", "ABORTED"}:
                return f"invented: the record says {record.status}"
            if record.status == "FAILED" and body.get("error") != record.error:
                return f"wrong error: the record says {record.error}"
        case 504 if record.status != "TIMED_OUT":
            return f"invented: the record says {record.status}"
    return None

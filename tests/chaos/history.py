"""What callers were told, and the check of it against Step Functions' record: no fault excuses a lie.

The record is the local AWS's own; nothing here asks the service what it believes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

NOTHING_STARTED = {"at-capacity", "draining", "link-down", "throttled", "unreachable"}
"""Problems (the last part of their type) that say that nothing was started."""


MAX_LOOKUP_DELAY_S = 2.5
"""Seconds for which the record knew an end that a wait to its full length has to have found."""

OUTCOMES = {200, 502, 504}
"""Statuses that tell how an execution ended."""


@dataclass(slots=True)
class Call:
    """One POST of a caller: what was sent, what was answered, and what its Location told in the end.

    `event` is the body that was sent; its `nome` is nobody else's but those with the same `key`. `status` is None
    when no answer came: `ended` says why. It was answered at the epoch second `at`, and `waits` as long as it may.
    """

    event: dict[str, Any]
    key: str | None = None
    status: int | None = None
    body: Any = None
    location: str | None = None
    seconds: float = 0.0
    at: float = 0.0
    waits: bool = False
    ended: str = ""
    later: list[tuple[int, Any]] = field(default_factory=list)

    @property
    def id(self) -> str | None:
        """The execution id that the answer named."""
        return self.body.get("id") if isinstance(self.body, dict) else None

    @property
    def ending(self) -> str:
        """How it ended in a word or two: the status, with the problem if it was refused, or why there is none."""
        return f"{self.status} {self.problem}".rstrip() if self.status == 503 else str(self.status or self.ended)

    @property
    def problem(self) -> str:
        """The last part of the problem's type; empty if the answer is no problem."""
        return str(self.body.get("type", "")).rpartition(":")[2] if isinstance(self.body, dict) else ""


@dataclass(frozen=True, slots=True)
class Record:
    """What Step Functions says of an execution; `event` is the body that it was started with.

    It ended at the epoch second `ended_at`.
    """

    status: str
    event: dict[str, Any]
    output: Any = None
    error: str | None = None
    ended_at: float | None = None

    @classmethod
    def read(cls, execution: Any) -> Record:
        """Read the local AWS's record."""
        output = None if execution.output is None else json.loads(execution.output)
        event = json.loads(json.loads(execution.input)["event"])
        return cls(execution.status, event, output, execution.error, execution.stop_date)


def check(calls: Iterable[Call], records: Mapping[str, Record], left_over: Mapping[str, int]) -> list[str]:
    """Return every promise that was broken, a line each."""
    calls = list(calls)
    starts = Counter(json.dumps(record.event, sort_keys=True) for record in records.values())
    faults = [fault for call in calls for fault in _faults_of(call, records, starts)]
    posts = Counter(_asked(call) for call in calls if call.key is None)
    posts.update(dict.fromkeys((_asked(call) for call in calls if call.key is not None), 1))
    faults += [
        f"started {starts[event]} times for {count} POST: {event[:100]}"
        for event, count in posts.items()
        if starts[event] > count
    ]
    faults += [f"started by nobody: {event[:100]}" for event in starts if event not in posts]
    faults += [f"left over: {count} {name}" for name, count in left_over.items() if count]
    return faults


def missed_outcomes(calls: Iterable[Call], records: Mapping[str, Record]) -> list[str]:
    """Return who waited in vain, a line each: the record had long known the outcome when the wait ended."""
    return [
        f"the record had known it for {call.at - record.ended_at:.1f} s: {call}"[:400]
        for call in calls
        if call.waits
        and call.status == 202
        and (record := records.get(str(call.id))) is not None
        and record.ended_at is not None
        and record.ended_at < call.at - MAX_LOOKUP_DELAY_S
    ]


def _asked(call: Call) -> str:
    return json.dumps(call.event, sort_keys=True)


def _faults_of(call: Call, records: Mapping[str, Record], starts: Counter[str]) -> Iterator[str]:
    if call.status is None:
        if not call.ended:
            yield f"no answer: {_asked(call)[:100]}"
        return
    yield from (f"{fault}: {call}"[:600] for fault in _mismatches(call.status, call.body, call, records))
    if call.status == 202 or call.location is not None:
        if call.location is None or call.id is None or not call.location.endswith(f"/event/{call.id}"):
            yield f"202 without the URL of its own execution: {call}"[:400]
        elif not call.later or call.later[-1][0] not in OUTCOMES:
            yield f"lost: its Location never told an outcome: {call}"[:400]
        for status, body in call.later:
            if status == 404:
                yield f"the Location was unknown: {call}"[:400]
            yield from (f"later {fault}: {call}"[:600] for fault in _mismatches(status, body, call, records))
    if call.problem in NOTHING_STARTED and call.key is None and starts[_asked(call)]:
        yield f"started, though the answer said that nothing was: {call}"[:400]


def _mismatches(status: int, body: Any, call: Call, records: Mapping[str, Record]) -> Iterator[str]:
    """Compare one answer with the record of the execution that it names."""
    if status not in {200, 202, 502, 503, 504}:
        yield f"unexpected {status}"
        return
    if not isinstance(body, dict):
        yield "no JSON object"
        return
    if status == 503:
        return
    record = records.get(str(body.get("id")))
    if record is None:
        yield "invented: there is no such execution"
        return
    if record.event != call.event:
        yield "somebody else's execution"
    if (fault := _contradiction(status, body, call, record)) is not None:
        yield fault


def _contradiction(status: int, body: dict[str, Any], call: Call, record: Record) -> str | None:
    """Tell what an answer and the record of its execution do not agree about."""
    match status:
        case 200:
            told = {name: value for name, value in body.items() if name != "id"}
            own = {"nome completo": f"{call.event.get('nome')} {call.event.get('sobrenome')}"}
            if record.status != "SUCCEEDED" or told != record.output:
                return f"invented: the record says {record.status}"
            if told != own:
                return "somebody else's answer"
        case 502:
            if record.status not in {"FAILED", "ABORTED"}:
                return f"invented: the record says {record.status}"
            if record.status == "FAILED" and body.get("error") != record.error:
                return f"another error: the record says {record.error}"
        case 504 if record.status != "TIMED_OUT":
            return f"invented: the record says {record.status}"
    return None

"""The checker has to catch each kind of lie, or its silence is worth nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.history import Call, Record, check, missed_outcomes

EVENT = {"nome": "Ana", "sobrenome": "Lima"}
OTHER = {"nome": "Bia", "sobrenome": "Reis"}
OUTPUT = {"nome completo": "Ana Lima"}
SUCCEEDED = Record("SUCCEEDED", EVENT, OUTPUT)
RUNNING = Record("RUNNING", EVENT)


def answered(status: int, body: Any, **more: Any) -> Call:
    return Call(EVENT, status=status, body=body, **more)


def problem(status: int, slug: str, **more: Any) -> Call:
    return answered(status, {"type": f"urn:problem-type:sync-front:{slug}", "status": status} | more)


TRUE = answered(200, {"id": "a", **OUTPUT})
ACCEPTED = answered(202, {"id": "a", "status": "RUNNING"}, location="/event/a")


@pytest.mark.parametrize(
    ("call", "records"),
    [
        (TRUE, {"a": SUCCEEDED}),
        (problem(502, "workflow-failed", id="a", error="E"), {"a": Record("FAILED", EVENT, error="E")}),
        (problem(502, "workflow-aborted", id="a"), {"a": Record("ABORTED", EVENT)}),
        (problem(504, "workflow-timed-out", id="a"), {"a": Record("TIMED_OUT", EVENT)}),
        (problem(503, "link-down"), {}),
        (problem(503, "outcome-unknown", id="a"), {}),
        (problem(503, "outcome-unknown", id="a"), {"a": SUCCEEDED}),
        (Call(EVENT, ended="left"), {"a": RUNNING}),
        (replace(ACCEPTED, later=[(202, ACCEPTED.body), (503, {}), (200, TRUE.body)]), {"a": SUCCEEDED}),
    ],
)
def test_the_truth_is_no_fault(call: Call, records: dict[str, Record]) -> None:
    assert check([call], records, {"waiters": 0}) == []


@pytest.mark.parametrize(
    ("call", "records", "fault"),
    [
        (TRUE, {}, "invented: there is no such execution"),
        (TRUE, {"a": RUNNING}, "invented: the record says RUNNING"),
        (TRUE, {"a": Record("FAILED", EVENT, error="E")}, "invented: the record says FAILED"),
        (answered(200, {"id": "a"}), {"a": SUCCEEDED}, "invented: the record says SUCCEEDED"),
        (answered(200, None), {"a": SUCCEEDED}, "no JSON object"),
        (TRUE, {"a": Record("SUCCEEDED", OTHER, OUTPUT)}, "somebody else's execution"),
        (
            answered(200, {"id": "a", "nome completo": "Bia Reis"}),
            {"a": Record("SUCCEEDED", EVENT, {"nome completo": "Bia Reis"})},
            "somebody else's answer",
        ),
        (problem(502, "workflow-failed", id="a", error="E"), {"a": SUCCEEDED}, "invented: the record says SUCCEEDED"),
        (
            problem(502, "workflow-failed", id="a", error="E"),
            {"a": Record("FAILED", EVENT, error="F")},
            "another error: the record says F",
        ),
        (problem(504, "workflow-timed-out", id="a"), {"a": RUNNING}, "invented: the record says RUNNING"),
        (problem(503, "link-down"), {"a": RUNNING}, "started, though the answer said that nothing was"),
        (answered(500, {"id": "a"}), {"a": RUNNING}, "unexpected 500"),
        (problem(404, "unknown-execution"), {}, "unexpected 404"),
        (Call(EVENT), {"a": RUNNING}, "no answer"),
        (ACCEPTED, {}, "invented: there is no such execution"),
        (ACCEPTED, {"a": SUCCEEDED}, "lost: its Location never told an outcome"),
        (replace(ACCEPTED, later=[(202, ACCEPTED.body)]), {"a": SUCCEEDED}, "lost"),
        (replace(ACCEPTED, later=[(200, TRUE.body), (503, {})]), {"a": SUCCEEDED}, "lost"),
        (replace(ACCEPTED, later=[(404, {}), (200, TRUE.body)]), {"a": SUCCEEDED}, "the Location was unknown"),
        (replace(ACCEPTED, later=[(200, {"id": "a", "x": 1})]), {"a": SUCCEEDED}, "later invented"),
        (replace(ACCEPTED, location=None), {"a": SUCCEEDED}, "202 without the URL of its own execution"),
        (replace(ACCEPTED, location="/event/b"), {"a": SUCCEEDED}, "202 without the URL of its own execution"),
    ],
)
def test_each_kind_of_lie_is_caught(call: Call, records: dict[str, Record], fault: str) -> None:
    assert fault in "\n".join(check([call], records, {}))


def test_a_second_execution_for_one_post_is_caught() -> None:
    assert "started 2 times for 1 POST" in check([TRUE], {"a": SUCCEEDED, "b": SUCCEEDED}, {})[0]


def test_a_key_allows_one_execution_however_often_it_was_sent() -> None:
    calls = [replace(TRUE, key="k"), replace(TRUE, key="k")]
    assert check(calls, {"a": SUCCEEDED}, {}) == []
    faults = check([calls[0], replace(calls[1], body={"id": "b", **OUTPUT})], {"a": SUCCEEDED, "b": SUCCEEDED}, {})
    assert faults == ['started 2 times for 1 POST: {"nome": "Ana", "sobrenome": "Lima"}']


def test_an_execution_that_nobody_asked_for_is_caught() -> None:
    faults = check([TRUE], {"a": SUCCEEDED, "b": Record("RUNNING", OTHER)}, {})
    assert faults == ['started by nobody: {"nome": "Bia", "sobrenome": "Reis"}']


def test_what_is_left_over_is_caught() -> None:
    assert check([TRUE], {"a": SUCCEEDED}, {"waiters": 2, "tasks": 0}) == ["left over: 2 waiters"]


def test_who_waited_in_vain_for_what_the_record_knew_is_caught() -> None:
    in_vain = replace(ACCEPTED, waits=True, at=100.0)
    known = {"a": replace(SUCCEEDED, ended_at=97.0)}
    assert missed_outcomes([in_vain], known)[0].startswith("the record had known it for 3.0 s")
    assert missed_outcomes([replace(in_vain, waits=False), replace(TRUE, waits=True, at=100.0)], known) == []
    assert missed_outcomes([in_vain], {"a": replace(SUCCEEDED, ended_at=99.0)}) == []
    assert missed_outcomes([in_vain], {"a": RUNNING}) == []

"""The check of the history must find every kind of wrong response, or its silence means nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.history import Call, Record, check, crowded_out, disturbed, missed_outcomes

EVENT = {"nome": "Ana", "sobrenome": "Lima"}
OTHER = {"nome": "Bia", "sobrenome": "Reis"}
OUTPUT = {"nome completo": "Ana Lima"}
SUCCEEDED = Record("SUCCEEDED", EVENT, OUTPUT)
RUNNING = Record("RUNNING", EVENT)


def response(status: int, body: Any, **more: Any) -> Call:
    return Call(EVENT, status=status, body=body, **more)


def problem(status: int, slug: str, **more: Any) -> Call:
    return response(status, {"type": f"urn:problem-type:sync-front:{slug}", "status": status} | more)


CORRECT = response(200, {"id": "a", **OUTPUT})
ACCEPTED = response(202, {"id": "a", "status": "RUNNING"}, location="/event/a")


@pytest.mark.parametrize(
    ("call", "records"),
    [
        (CORRECT, {"a": SUCCEEDED}),
        (problem(502, "workflow-failed", id="a", error="E"), {"a": Record("FAILED", EVENT, error="E")}),
        (problem(502, "workflow-aborted", id="a"), {"a": Record("ABORTED", EVENT)}),
        (problem(504, "workflow-timed-out", id="a"), {"a": Record("TIMED_OUT", EVENT)}),
        (problem(503, "link-down"), {}),
        (problem(429, "caller-rate-exceeded"), {}),
        (problem(503, "outcome-unknown", id="a"), {}),
        (problem(503, "outcome-unknown", id="a"), {"a": SUCCEEDED}),
        (Call(EVENT, ended="left"), {"a": RUNNING}),
        (replace(ACCEPTED, later=[(202, ACCEPTED.body), (503, {}), (200, CORRECT.body)]), {"a": SUCCEEDED}),
    ],
)
def test_correct_responses_pass(call: Call, records: dict[str, Record]) -> None:
    assert check([call], records, {"waiters": 0}) == []


@pytest.mark.parametrize(
    ("call", "records", "fault"),
    [
        (CORRECT, {}, "invented: the execution does not exist"),
        (CORRECT, {"a": RUNNING}, "invented: the record says RUNNING"),
        (CORRECT, {"a": Record("FAILED", EVENT, error="E")}, "invented: the record says FAILED"),
        (response(200, {"id": "a"}), {"a": SUCCEEDED}, "invented: the record says SUCCEEDED"),
        (response(200, None), {"a": SUCCEEDED}, "not a JSON object"),
        (CORRECT, {"a": Record("SUCCEEDED", OTHER, OUTPUT)}, "another caller's execution"),
        (
            response(200, {"id": "a", "nome completo": "Bia Reis"}),
            {"a": Record("SUCCEEDED", EVENT, {"nome completo": "Bia Reis"})},
            "another caller's result",
        ),
        (problem(502, "workflow-failed", id="a", error="E"), {"a": SUCCEEDED}, "invented: the record says SUCCEEDED"),
        (
            problem(502, "workflow-failed", id="a", error="E"),
            {"a": Record("FAILED", EVENT, error="F")},
            "wrong error: the record says F",
        ),
        (problem(504, "workflow-timed-out", id="a"), {"a": RUNNING}, "invented: the record says RUNNING"),
        (problem(503, "link-down"), {"a": RUNNING}, "started, although the response said that nothing was"),
        (response(500, {"id": "a"}), {"a": RUNNING}, "unexpected status 500"),
        (problem(404, "unknown-execution"), {}, "unexpected status 404"),
        (Call(EVENT), {"a": RUNNING}, "no response"),
        (ACCEPTED, {}, "invented: the execution does not exist"),
        (ACCEPTED, {"a": SUCCEEDED}, "lost: its Location never had an outcome"),
        (replace(ACCEPTED, later=[(202, ACCEPTED.body)]), {"a": SUCCEEDED}, "lost"),
        (replace(ACCEPTED, later=[(200, CORRECT.body), (503, {})]), {"a": SUCCEEDED}, "lost"),
        (replace(ACCEPTED, later=[(404, {}), (200, CORRECT.body)]), {"a": SUCCEEDED}, "its Location was not found"),
        (replace(ACCEPTED, later=[(200, {"id": "a", "x": 1})]), {"a": SUCCEEDED}, "later invented"),
        (replace(ACCEPTED, location=None), {"a": SUCCEEDED}, "202 without the URL of its own execution"),
        (replace(ACCEPTED, location="/event/b"), {"a": SUCCEEDED}, "202 without the URL of its own execution"),
        (replace(ACCEPTED, across=200), {"a": SUCCEEDED}, "another caller got 200 for its Location"),
        (problem(429, "caller-share-exceeded"), {"a": RUNNING}, "started, although the response said"),
    ],
)
def test_every_kind_of_wrong_response_is_found(call: Call, records: dict[str, Record], fault: str) -> None:
    assert fault in "\n".join(check([call], records, {}))


def test_a_second_execution_for_one_post_is_found() -> None:
    assert "started 2 times for 1 POST" in check([CORRECT], {"a": SUCCEEDED, "b": SUCCEEDED}, {})[0]


def test_a_key_allows_one_execution_however_often_it_was_sent() -> None:
    calls = [replace(CORRECT, key="k"), replace(CORRECT, key="k")]
    assert check(calls, {"a": SUCCEEDED}, {}) == []
    faults = check([calls[0], replace(calls[1], body={"id": "b", **OUTPUT})], {"a": SUCCEEDED, "b": SUCCEEDED}, {})
    assert faults == ['started 2 times for 1 POST: {"nome": "Ana", "sobrenome": "Lima"}']


def test_an_execution_without_a_post_is_found() -> None:
    faults = check([CORRECT], {"a": SUCCEEDED, "b": Record("RUNNING", OTHER)}, {})
    assert faults == ['started without a POST: {"nome": "Bia", "sobrenome": "Reis"}']


def test_what_is_left_over_is_found() -> None:
    assert check([CORRECT], {"a": SUCCEEDED}, {"waiters": 2, "tasks": 0}) == ["left over: 2 waiters"]


def test_an_outcome_that_was_in_the_record_and_not_returned_is_found() -> None:
    missed = replace(ACCEPTED, waits=True, at=100.0)
    records = {"a": replace(SUCCEEDED, ended_at=97.0)}
    assert missed_outcomes([missed], records)[0].startswith("missed: the outcome was in the record for 3.0 s")
    assert missed_outcomes([replace(missed, waits=False), replace(CORRECT, waits=True, at=100.0)], records) == []
    assert missed_outcomes([missed], {"a": replace(SUCCEEDED, ended_at=99.0)}) == []
    assert missed_outcomes([missed], {"a": RUNNING}) == []


@pytest.mark.parametrize(
    ("call", "found"),
    [
        (problem(503, "throttled"), 1),
        (problem(503, "at-capacity"), 1),
        (replace(ACCEPTED, reads=[("", 0.1), ("throttled", 0.1)]), 1),
        (replace(ACCEPTED, reads=[("", 0.1), ("workflow-failed", 0.1)]), 0),
        (problem(503, "outcome-unknown"), 0),
    ],
)
def test_calls_that_others_crowd_out_are_found(call: Call, found: int) -> None:
    assert len(crowded_out([call])) == found


@pytest.mark.parametrize(
    ("call", "found"),
    [
        (replace(CORRECT, seconds=1.4), 0),
        (replace(CORRECT, seconds=1.6), 1),
        (replace(CORRECT, seconds=1.6, event={"wait": 1.0}), 0),
        (replace(CORRECT, seconds=5.0, path="/orders"), 0),
        (problem(503, "throttled"), 1),
        (problem(503, "outcome-unknown"), 0),
        (replace(problem(503, "throttled"), path="/orders"), 0),
    ],
)
def test_calls_that_notice_the_standstill_of_another_workflow_are_found(call: Call, found: int) -> None:
    assert len(disturbed([call], "/orders")) == found

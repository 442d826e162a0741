from __future__ import annotations

import json
from typing import Any

import pytest

from tests.tools.preflight.example import MACHINE, PATTERN, configuration
from tests.tools.preflight.stand_in import StandIn
from tools.preflight import rules
from tools.preflight.aws import Aws
from tools.preflight.findings import Line, Verdict


def line(aws: Aws, source: str = "aws.states", **detail: Any) -> Line:
    """Return the line about the example's rule with another source or detail."""
    pattern = {**PATTERN, "source": [source], "detail": PATTERN["detail"] | detail}  # type: ignore[operator]
    changes = {'aws_cloudwatch_event_rule.ended["envelope"]': {"event_pattern": json.dumps(pattern)}}
    (found,) = rules.check(aws, configuration({**changes}))
    return found


def test_a_rule_that_matches_what_it_names_is_right(account: StandIn, aws: Aws) -> None:
    found = line(aws)
    assert (found.verdict, found.detail) == (Verdict.OK, "matches ABORTED, FAILED, TIMED_OUT, and nothing else")
    events = [json.loads(call.parameters["Event"])["detail"] for call in account.calls]
    assert [event["status"] for event in events[:5]] == ["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
    assert events[5]["stateMachineArn"] == f"{MACHINE}-other"


@pytest.mark.parametrize(
    ("detail", "mistaken"),
    [
        ({"name": [{"prefix": "run-"}]}, "FAILED, TIMED_OUT, ABORTED"),
        ({"state": ["FAILED"]}, "FAILED, TIMED_OUT, ABORTED"),
        ({"source": "aws.state"}, "FAILED, TIMED_OUT, ABORTED"),
        ({"status": ["FAILED", "TIMEDOUT"]}, "TIMEDOUT"),
        ({"stateMachineArn": [MACHINE, f"{MACHINE}-other"]}, "another state machine"),
    ],
)
def test_a_rule_that_matches_something_else_is_wrong(aws: Aws, detail: dict[str, Any], mistaken: str) -> None:
    found = line(aws, **detail)
    assert found.verdict is Verdict.WRONG
    assert f"the pattern is wrong about {mistaken}: " in found.detail


@pytest.mark.parametrize(
    "pattern", [None, '{"source": ["aws.ecs"], "detail": {"lastStatus": ["STOPPED"]}}', '{"account": ["1"]}']
)
def test_rules_about_something_else_are_left_out(aws: Aws, pattern: str | None) -> None:
    changes = {'aws_cloudwatch_event_rule.ended["envelope"]': {"event_pattern": pattern}}
    assert list(rules.check(aws, configuration({**changes}))) == []


def test_without_permission_a_rule_is_unknown(account: StandIn, aws: Aws) -> None:
    account.deny("events:TestEventPattern")
    assert line(aws).verdict is Verdict.UNKNOWN

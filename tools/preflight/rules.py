"""Whether EventBridge's rules match the ends of executions, and nothing else: TestEventPattern."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tools.preflight import samples
from tools.preflight.findings import Line, guarded, ok, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.preflight.aws import Aws
    from tools.preflight.configuration import Configuration
    from tools.preflight.samples import Json

_STATUSES = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")


def check(aws: Aws, configuration: Configuration) -> Iterator[Line]:
    """Yield a line for each rule about executions."""
    namespace = configuration.environment["APPSYNC_NAMESPACE"]
    for rule in configuration.all("aws_cloudwatch_event_rule"):
        pattern = rule.values["event_pattern"]
        if pattern and "stateMachineArn" in json.loads(pattern).get("detail", ()):
            subject = f"rule {rule.values['name']}"
            yield from guarded(subject, _test(aws, subject, pattern, namespace))


def _test(aws: Aws, subject: str, pattern: str, namespace: str) -> Iterator[Line]:
    """Send an event of the first state machine for each status, and one of a state machine that is not listed."""
    detail = json.loads(pattern)["detail"]
    (machine, *_), wanted = detail["stateMachineArn"], set(detail.get("status", _STATUSES))
    expected = {status: status in wanted for status in _STATUSES}
    events = {status: samples.status_change(machine, status, {}, namespace) for status in _STATUSES}
    events["another state machine"] = samples.status_change(f"{machine}-other", max(wanted), {}, namespace)
    results = {name: _matches(aws, pattern, event) for name, event in events.items()}
    mistaken = [name for name, matched in results.items() if matched is not expected.get(name, False)]
    mistaken += sorted(wanted - set(_STATUSES))  # no execution has these
    if mistaken:
        yield wrong(subject, f"the pattern is wrong about {', '.join(mistaken)}: {pattern}")
    else:
        yield ok(subject, f"matches {', '.join(sorted(wanted))}, and nothing else")


def _matches(aws: Aws, pattern: str, event: Json) -> bool:
    answer = aws.client("events").test_event_pattern(EventPattern=pattern, Event=json.dumps(event))
    return bool(answer["Result"])

"""Retriers and catchers of a state machine, checked against the Amazon States Language.

cfn-lint checks the fields of states, but not what is in these (states-language.net/spec.html, "Errors").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

MEMBERS = {
    "Retry": {"ErrorEquals", "IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds", "JitterStrategy"},
    "Catch": {"ErrorEquals", "Next", "Output", "Assign"},
}
"""The members of each kind with the query language JSONata."""
REQUIRED = {"Retry": {"ErrorEquals"}, "Catch": {"ErrorEquals", "Next"}}
_STATES_ALL = "States.ALL"


def violations(definition: Json, where: str = "") -> Iterator[str]:
    """Yield what the retriers and catchers of a definition, or of a branch in it, violate."""
    for name, state in definition.get("States", {}).items():
        path = f"{where}{name}"
        for kind in MEMBERS:
            handlers = state.get(kind, [])
            for index, handler in enumerate(handlers):
                last = index == len(handlers) - 1
                yield from (f"{path}.{kind}[{index}]: {problem}" for problem in _problems(kind, handler, last))
        for branch in [*state.get("Branches", []), *filter(None, [state.get("ItemProcessor")])]:
            yield from violations(branch, f"{path}.")


def _problems(kind: str, handler: Json, last: bool) -> Iterator[str]:
    for member in sorted(set(handler) - MEMBERS[kind]):
        yield f"{member} is not a member"
    for member in sorted(REQUIRED[kind] - set(handler)):
        yield f"{member} is missing"
    errors = handler.get("ErrorEquals", [_STATES_ALL])
    if not errors:
        yield "ErrorEquals is empty"
    if _STATES_ALL in errors and not (last and len(errors) == 1):
        yield f"{_STATES_ALL} must be alone, and last"
    if handler.get("BackoffRate", 1) < 1:
        yield "BackoffRate is less than 1"
    if handler.get("IntervalSeconds", 1) < 1:
        yield "IntervalSeconds is less than 1"
    if "MaxDelaySeconds" in handler and handler["MaxDelaySeconds"] <= handler.get("IntervalSeconds", 1):
        yield "MaxDelaySeconds is not greater than IntervalSeconds"

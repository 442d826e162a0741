"""A walk through a workflow, one state at a time, by Step Functions' TestState. Calls of other services are mocked."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from botocore.exceptions import ClientError

from tools.preflight.findings import is_denied, message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tools.preflight.samples import Json

Mock: TypeAlias = dict[str, Any]

# What AppSync Events answers to a publisher: it took the event, or did not.
_TAKEN = {"successful": [{"identifier": "1", "index": 0}], "failed": []}
_NOT_TAKEN = {"successful": [], "failed": [{"identifier": "1", "index": 0, "code": 400, "message": "preflight"}]}
_REFUSED = json.dumps({"StatusCode": 200, "ResponseBody": _NOT_TAKEN})


@dataclass(frozen=True)
class End:
    """How a flow ended: with an output, or with an error."""

    output: Json = None
    error: str | None = None
    cause: str = ""


def names(flow: Json) -> Iterator[str]:
    """Yield the names of all states, including those of branches."""
    for name, state in flow["States"].items():
        yield name
        for branch in state.get("Branches", ()):
            yield from names(branch)


class Walk:
    """Tests of states with the data that reach them, and what they found."""

    def __init__(self, test_state: Callable[..., dict[str, Any]], language: str) -> None:
        self._test_state = test_state
        self._language = language
        self.tests: Counter[str] = Counter()
        """How often each state was tested."""
        self.failures: dict[str, str] = {}
        """Why a state failed, for the first time that it did."""
        self._thorough = True

    def every_outcome(self, flow: Json, data: Json) -> None:
        """Test each outcome of each state that is reached: successes, refusals by AppSync, errors that are caught."""
        self._thorough = True
        self._flow(flow, data, {})

    def usual_outcomes(self, flow: Json, data: Json) -> None:
        """Test the path that this input takes, which may end in an error."""
        self._thorough = False
        self._flow(flow, data, {})

    def _flow(self, flow: Json, data: Json, variables: Json) -> End:
        """Return how the flow ends if all calls succeed."""
        ends: list[End] = []
        tested: set[str] = set()
        pending = [(flow["StartAt"], data, variables)]
        while pending:
            name, data, variables = pending.pop()
            state = flow["States"][name]
            following = []
            for mock in self._mocks(state, data, variables):
                # A choice depends on its data; other states do the same with any.
                key = json.dumps([name, mock, [data, variables] if state["Type"] == "Choice" else None])
                if key in tested:
                    continue
                tested.add(key)
                answer = self._test(name, state, data, variables, mock)
                if answer and "nextState" in answer:
                    following.append((answer["nextState"], _output(answer), _variables(answer, variables)))
                elif answer:
                    ends.append(End(_output(answer), answer.get("error"), answer.get("cause", "")))
            # The last one is next: the path on which all succeeds is followed to its end before the others.
            pending += reversed(following)
        return ends[0] if ends else End(error="States.TaskFailed")

    def _mocks(self, state: Json, data: Json, variables: Json) -> list[Mock | None]:
        """Return the mocks for a state's outcomes, success first; none if its result cannot be known."""
        match state["Type"]:
            case "Task" if ".appsync-api." in str(state.get("Arguments", {}).get("ApiEndpoint")):
                bodies = [_TAKEN, _NOT_TAKEN] if self._thorough else [_TAKEN]
                results = [_result({"StatusCode": 200, "ResponseBody": body}) for body in bodies]
            case "Parallel":
                results = [self._branches(state, data, variables)]
            case "Task" | "Map":
                return []
            case _:
                return [None]
        return [*results, *(_caught(state) if self._thorough else [])]

    def _branches(self, state: Json, data: Json, variables: Json) -> Mock:
        ends = [self._flow(branch, data, variables) for branch in state["Branches"]]
        for end in ends:
            if end.error is not None:
                return _error(end.error, end.cause)
        return _result([end.output for end in ends])

    def _test(self, name: str, state: Json, data: Json, variables: Json, mock: Mock | None) -> dict[str, Any] | None:
        """Test one outcome; None if Step Functions refused to."""
        definition = {"QueryLanguage": self._language, **state}
        if mock and "errorOutput" in mock:
            definition.pop("Retry", None)  # or the test would end with the first retry
        if state["Type"] == "Wait":
            definition["Seconds"] = 1
        given = {"variables": json.dumps(variables)} if variables else {}
        self.tests[name] += 1
        try:
            answer = self._test_state(
                mock, definition=json.dumps(definition), input=json.dumps(data), inspectionLevel="DEBUG", **given
            )
        except ClientError as error:
            if is_denied(error):
                raise
            self._failed(name, message(error))
            return None
        if self._thorough and answer["status"] not in _expected(state, mock):
            self._failed(name, f"{answer['status']}, {answer.get('error')}: {answer.get('cause')}")
        return answer

    def _failed(self, name: str, reason: str) -> None:
        self.failures.setdefault(name, reason)


def _expected(state: Json, mock: Mock | None) -> set[str]:
    if state["Type"] == "Fail":
        return {"FAILED"}
    if mock and mock.get("result") == _REFUSED:
        return {"SUCCEEDED", "RETRIABLE", "CAUGHT_ERROR", "FAILED"}  # to notice it here or in a later state is a choice
    return {"CAUGHT_ERROR"} if mock and "errorOutput" in mock else {"SUCCEEDED"}


def _caught(state: Json) -> Iterator[Mock]:
    """Yield a mock for each catcher."""
    for catcher in state.get("Catch", ()):
        (name, *_) = catcher["ErrorEquals"]
        yield _error("States.TaskFailed" if name == "States.ALL" else name, "preflight")


def _result(value: Json) -> Mock:
    return {"result": json.dumps(value), "fieldValidationMode": "NONE"}


def _error(error: str, cause: str) -> Mock:
    return {"errorOutput": {"error": error, "cause": cause}}


def _output(answer: dict[str, Any]) -> Json:
    return json.loads(answer.get("output") or "null")


def _variables(answer: dict[str, Any], before: Json) -> Json:
    """Return the variables after a state; INFO and failures do not have them."""
    text = answer.get("inspectionData", {}).get("variables")
    return json.loads(text) if text else before

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from service.local.mocks import Mocks, MocksError, Response, read

LAMBDA = "arn:aws:states:::lambda:invoke"
HTTP = "arn:aws:states:::http:invoke"
DOCUMENTED = {
    "StateMachines": {
        "LambdaSQSIntegration": {
            "TestCases": {
                "HappyPath": {"LambdaState": "MockedLambdaSuccess", "SQSState": "MockedSQSSuccess"},
                "RetryPath": {"LambdaState": "MockedLambdaRetry", "SQSState": "MockedSQSSuccess"},
            }
        }
    },
    "MockedResponses": {
        "MockedLambdaSuccess": {"0": {"Return": {"StatusCode": 200}}},
        "MockedSQSSuccess": {"0": {"Return": {"MessageId": "3bcb6e8e"}}},
        "MockedLambdaRetry": {
            "0": {"Throw": {"Error": "Lambda.ResourceNotReadyException", "Cause": "not ready"}},
            "1-2": {"Throw": {"Error": "Lambda.TimeoutException", "Cause": "timed out"}},
            "3": {"Return": {"StatusCode": 200}},
        },
    },
}


def mocks(cases: Any, **responses: Any) -> Mocks:
    return Mocks({"StateMachines": {"m": {"TestCases": cases}}, "MockedResponses": responses}, "m")


def faults(source: Any) -> str:
    with pytest.raises(MocksError) as caught:
        Mocks(source, "m")
    return "\n".join(caught.value.faults)


def test_a_file_of_step_functions_local_is_used_as_it_is() -> None:
    found = Mocks(DOCUMENTED, "another name")
    assert found.test_cases == ("HappyPath", "RetryPath")
    assert found.response(None, "LambdaState", LAMBDA, 0) == Response("Return", {"StatusCode": 200})
    retried = [found.response("RetryPath", "LambdaState", LAMBDA, number) for number in range(6)]
    assert [None if one is None else one.rule for one in retried] == [*["Throw"] * 3, *["Return"] * 3]
    assert retried[2] == Response("Throw", {"Error": "Lambda.TimeoutException", "Cause": "timed out"})


def test_of_several_state_machines_the_one_of_this_name_is_used() -> None:
    machines: dict[str, Any] = {name: {"TestCases": {name: {}}} for name in ("a", "m", "z")}
    assert Mocks({"StateMachines": machines}, "m").test_cases == ("m",)
    assert "StateMachines has no 'm'" in faults({"StateMachines": {"a": {}, "b": {}}})


@pytest.mark.parametrize(
    ("source", "response"),
    [
        ({"Echo": True}, Response("Echo", True)),
        ({"Return": None, "DelaySeconds": 0.5}, Response("Return", None, 0.5)),
        ({"WaitForTaskToken": True}, Response("WaitForTaskToken", True)),
        ({"0": {"Throw": {"Error": "E"}}}, Response("Throw", {"Error": "E"})),
    ],
)
def test_a_response_may_stand_in_place_of_its_name(source: Any, response: Response) -> None:
    assert mocks({"c": {"S": source}}).response(None, "S", LAMBDA, 3) == response


def test_a_star_stands_for_every_task_without_a_mock_of_its_own_but_http_invoke() -> None:
    found = mocks({"c": {"*": {"Echo": True}, "S": {"Return": 1}}, "d": {"T": {"Return": 2}}})
    assert found.response(None, "S", LAMBDA, 0) == Response("Return", 1)
    assert found.response(None, "X", LAMBDA, 0) == Response("Echo", True)
    assert found.response("d", "X", LAMBDA, 0) is None
    assert [found.has("X", resource) for resource in (LAMBDA, HTTP, "")] == [True, False, False]
    assert found.has("T", HTTP)


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ([], "must have an object StateMachines"),
        ({"StateMachines": {"m": {}}}, "the state machine must have an object TestCases"),
        ({"StateMachines": {"m": {"TestCases": {}}}}, "there is no test case"),
        ({"StateMachines": {"m": {"TestCases": {"c": 1}}}}, "test case 'c' must be an object"),
    ],
)
def test_a_file_of_another_form_is_rejected(source: Any, fault: str) -> None:
    assert fault in faults(source)


@pytest.mark.parametrize(
    ("responses", "fault"),
    [
        ("gone", "MockedResponses has no 'gone'"),
        ({}, "must be an object such as"),
        (1, "must be an object such as"),
        ({"Eco": True}, "'Eco' must be one of Return, Throw, Echo, WaitForTaskToken, or invocations such as 0 or 1-2"),
        ({"1": {"Return": 1}}, "'1' must follow the invocations before, from 0"),
        ({"0-1": {"Return": 1}, "1": {"Return": 1}}, "'1' must follow the invocations before, from 2"),
        ({"0": {}}, "'0': must have one of Return, Throw"),
        ({"0": {"Return": 1, "Throw": {"Error": "E"}}}, "must have one of"),
        ({"0": {"Return": 1, "More": 1}}, "must have one of"),
        ({"0": {"Return": 1, "DelaySeconds": -1}}, "DelaySeconds must be a number"),
        ({"0": {"Throw": {"Cause": "c"}}}, "Throw must have an Error"),
    ],
)
def test_what_is_wrong_is_said_with_its_test_case_and_state(responses: Any, fault: str) -> None:
    message = faults({"StateMachines": {"m": {"TestCases": {"c": {"S": responses}}}}})
    assert message.startswith("test case 'c', state 'S'")
    assert fault in message


def test_everything_that_is_wrong_is_said_at_once() -> None:
    assert len(faults({"StateMachines": {"m": {"TestCases": {"c": {"S": "a", "T": "b"}, "d": 1}}}}).splitlines()) == 3


@pytest.mark.parametrize(("content", "fault"), [(None, "cannot be read: No such file"), ("{", "is not JSON")])
def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path, content: str | None, fault: str) -> None:
    path = tmp_path / "mocks.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(MocksError, match=f"the file {fault}"):
        read(path, "m")
    path.write_text(json.dumps(DOCUMENTED))
    assert read(path, "m").has("SQSState")

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tools.survey.__main__ import main
from tools.survey.reads import reads
from tools.survey.trial import Outcome, try_file

TASK = {"Type": "Task", "Resource": "${Arn}"}
DONE = {"Type": "Succeed"}


def trial(folder: Path, states: dict[str, Any], **top: Any) -> Outcome:
    (folder / "a.json").write_text(json.dumps({"StartAt": next(iter(states)), "States": states} | top))
    return try_file(folder / "a.json")


def test_the_result_of_a_task_has_what_later_states_read_wherever_it_is_put(tmp_path: Path) -> None:
    states = {
        "A": TASK | {"Parameters": {"id.$": "$.order.id"}, "ResultPath": "$.checked", "Next": "M"},
        "M": {
            "Type": "Map",
            "ItemsPath": "$.checked.Payload.lines",
            "ItemProcessor": {"StartAt": "L", "States": {"L": TASK | {"InputPath": "$.sku", "End": True}}},
            "Next": "D",
        },
        "D": DONE,
    }
    assert trial(tmp_path, states) == Outcome("succeeded")


def test_a_loop_that_polls_goes_on_when_the_mock_has_another_status(tmp_path: Path) -> None:
    choice = {
        "Type": "Choice",
        "Choices": [
            {"Variable": "$.status", "StringEquals": "RUNNING", "Next": "W"},
            {"Variable": "$.status", "StringEquals": "DONE", "Next": "D"},
        ],
    }
    states = {"W": {"Type": "Wait", "Seconds": 3600, "Next": "A"}, "A": TASK | {"Next": "C"}, "C": choice, "D": DONE}
    assert trial(tmp_path, states) == Outcome("succeeded")


def test_a_listing_comes_to_its_last_page(tmp_path: Path) -> None:
    choice = {"Type": "Choice", "Choices": [{"Variable": "$.next", "IsPresent": True, "Next": "A"}], "Default": "D"}
    assert trial(tmp_path, {"A": TASK | {"Next": "C"}, "C": choice, "D": DONE}) == Outcome("succeeded")


def test_an_end_in_a_fail_state_is_the_definitions_own(tmp_path: Path) -> None:
    assert trial(tmp_path, {"F": {"Type": "Fail", "Error": "Mine"}}) == Outcome("failed", "F: Mine")


def test_what_stops_an_execution_is_named(tmp_path: Path) -> None:
    outcome = trial(
        tmp_path, {"P": {"Type": "Pass", "Parameters": {"a.$": "States.ArrayGetItem($.l, 99)"}, "End": True}}
    )
    assert outcome.kind == "stopped"
    assert outcome.reason.startswith("P: States.IntrinsicFailure: ")


def test_what_is_refused_is_named_with_state_and_field(tmp_path: Path) -> None:
    assert trial(tmp_path, {"X": {"Type": "Loop"}}) == Outcome(
        "refused", "state 'X', field Type: 'Loop' does not exist"
    )
    (tmp_path / "b.yaml").write_text("a: [")
    assert try_file(tmp_path / "b.yaml").reason.startswith("not a definition")


def test_a_definition_in_jsonata_is_tried_as_well(tmp_path: Path) -> None:
    choice = {"Type": "Choice", "Choices": [{"Condition": "{% $states.input.kind = 'big' %}", "Next": "D"}]}
    states = {"A": TASK | {"Arguments": {"n": "{% $states.input.order.number %}"}, "Next": "C"}, "C": choice, "D": DONE}
    assert trial(tmp_path, states, QueryLanguage="JSONata") == Outcome("succeeded")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ({"x.$": "$.a[0].b"}, [(("a", 0, "b"), "text")]),
        ({"ItemsPath": "$.a"}, [(("a",), "list")]),
        ({"x.$": "States.StringToJson($.a)"}, [(("a",), "json")]),
        ({"x.$": "$.a[?(@.k == 'v')].b"}, [(("a", 0, "b"), "text"), (("a", 0, "k"), "constants")]),
        ({"x.$": "$$.Execution.Input.a"}, [(("a",), "text")]),
        ({"Variable": "$.a", "NumericLessThanPath": "$.b"}, [(("a",), "number"), (("b",), "number"), (("a",), "text")]),
        ({"Output": "{% $v.a.b & $parse($states.result.c) %}"}, [(("a", "b"), "text"), (("c",), "json")]),
    ],
)
def test_reads_are_found_with_what_is_expected(source: Any, found: list[Any]) -> None:
    assert [(read.steps, read.want) for read in reads(source)][: len(found)] == found


def test_the_command_lists_every_definition_and_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trial(tmp_path, {"D": DONE})
    (tmp_path / "b.json").write_text("{}")
    assert main([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["succeeded", "a.json"], ["refused", "b.json"]]
    assert lines[-1].startswith("2 definitions: 1 accepted")
    assert main([str(tmp_path / "none")]) == 1

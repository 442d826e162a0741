"""States Language: retriers and catchers of every workflow file"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.iac.files import ROOT, WORKFLOW
from tests.iac.states_language import violations

WORKFLOWS = [*(ROOT / "IaC").glob("*.asl.json"), *(ROOT / "examples").glob("*.asl.json")]

DEFINITION: dict[str, Any] = json.loads(WORKFLOW.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_workflow_file_follows_the_language(path: Path) -> None:
    definition = json.loads(path.read_text(encoding="utf-8"))
    assert list(violations(definition)) == []


def test_the_files_have_retriers_and_catchers_to_check() -> None:
    texts = [path.read_text(encoding="utf-8") for path in WORKFLOWS]
    assert [any(f'"{kind}"' in text for text in texts) for kind in ("Retry", "Catch")] == [True, True]


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("Catch", {"Comment": "A definite refusal."}),
        ("Catch", {"ResultPath": "$.error"}),
        ("Catch", {"ErrorEquals": []}),
        ("Retry", {"ErrorEquals": ["States.ALL"]}),
        ("Retry", {"Comment": "Not worth another attempt."}),
        ("Retry", {"Output": "{% $states.input %}"}),
        ("Retry", {"BackoffRate": 0.5}),
        ("Retry", {"IntervalSeconds": 0}),
        ("Retry", {"MaxDelaySeconds": 1, "IntervalSeconds": 1}),
    ],
)
def test_the_check_finds_what_the_language_does_not_have(kind: str, change: dict[str, Any]) -> None:
    definition = copy.deepcopy(DEFINITION)
    definition["States"]["Publish"][kind][0] |= change
    (found,) = violations(definition)
    assert found.startswith(f"Publish.{kind}[0]: ")


def test_the_check_finds_a_missing_member_in_a_branch() -> None:
    branch = copy.deepcopy(DEFINITION)
    branch["States"]["ConvertJson"] |= {"Catch": [{"ErrorEquals": ["States.ALL"]}]}
    definition = {"StartAt": "Both", "States": {"Both": {"Type": "Parallel", "Branches": [branch], "End": True}}}
    assert list(violations(definition)) == ["Both.ConvertJson.Catch[0]: Next is missing"]

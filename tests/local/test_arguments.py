from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from service.local import WORKFLOW
from service.local.arguments import add_workflow_arguments


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_workflow_arguments(parser)
    return parser.parse_args(arguments)


def test_without_arguments_the_demonstration_waits_for_ten_seconds() -> None:
    assert vars(parsed()) == {"wait": 10.0, "workflow": WORKFLOW, "set": [], "mocks": None}


def test_each_value_has_a_name() -> None:
    given = parsed("--set", "a=1", "--set", "b==", "--set", "c=", "--workflow", "w.yaml", "--mocks", "m.json")
    assert given.set == [("a", "1"), ("b", "="), ("c", "")]
    assert (given.workflow, given.mocks) == (Path("w.yaml"), Path("m.json"))


@pytest.mark.parametrize("value", ["a", "=1", ""])
def test_a_value_without_a_name_is_refused(capsys: pytest.CaptureFixture[str], value: str) -> None:
    with pytest.raises(SystemExit):
        parsed("--set", value)
    assert "must be NAME=VALUE" in capsys.readouterr().err


@pytest.mark.parametrize("wait", ["-1", "inf", "nan", "soon"])
def test_the_wait_must_be_a_number_of_seconds(capsys: pytest.CaptureFixture[str], wait: str) -> None:
    with pytest.raises(SystemExit):
        parsed(f"--wait={wait}")
    assert "must be a number of seconds, 0 or more" in capsys.readouterr().err

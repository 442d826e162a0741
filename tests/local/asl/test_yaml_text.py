from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.local.asl import yaml_text
from service.local.asl.definition import DefinitionError, read

DEFINITION = """
# A comment
StartAt: Say
States:
  Say:
    Type: Pass
    Result: {when: 2024-01-01, said: yes, number: 1, who: "${who}"}
    End: true
"""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("!Ref Name", "${Name}"),
        ("!GetAtt Fn.Arn", "${Fn.Arn}"),
        ("!GetAtt [Fn, Arn]", "${Fn.Arn}"),
        ("!Sub 'arn:${AWS::Region}'", "arn:${AWS::Region}"),
        ("!Sub ['a ${b}', {b: 1}]", "a ${b}"),
        ("a: !Join ['', [x, y]]", {"a": ["", ["x", "y"]]}),
        ("!Transform {Name: x, With: [1]}", {"Name": "x", "With": [1]}),
        (
            "[yes, No, on, true, FALSE, null, ~, 2024-01-01, 2024-01-01T00:00:00Z, 1.5, 0o7]",
            ["yes", "No", "on", True, False, None, None, "2024-01-01", "2024-01-01T00:00:00Z", 1.5, "0o7"],
        ),
        ("{a: &x {b: 1}, c: *x}", {"a": {"b": 1}, "c": {"b": 1}}),
    ],
)
def test_yaml_becomes_json_values_and_placeholders(text: str, value: Any) -> None:
    assert yaml_text.loads(text) == value


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "- a\nb", "!!python/object:os.system x"])
def test_other_text_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        yaml_text.loads(text)


@pytest.mark.parametrize("name", ["a.yaml", "a.asl.yml", "a.YAML"])
def test_a_definition_is_read_as_yaml_by_the_name_of_its_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(DEFINITION)
    machine = read(tmp_path / name, {"who": "me"})
    assert machine.flow.start_at == "Say"
    assert '"when":"2024-01-01","said":"yes","number":1,"who":"me"' in machine.text


def test_a_placeholder_of_a_number_needs_no_quotes(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("StartAt: Nap\nStates: {Nap: {Type: Wait, Seconds: !Ref Pause, End: true}}")
    assert '"Seconds":5' in read(tmp_path / "a.yaml", {"Pause": "5"}).text
    with pytest.raises(DefinitionError, match="field Seconds: must be a number"):
        read(tmp_path / "a.yaml", {"Pause": "long"})


@pytest.mark.parametrize("text", ["a: [", "a: .nan", "1: 2"])
def test_yaml_that_is_not_a_definition_is_a_fault(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(DefinitionError):
        read(tmp_path / "a.yaml", {})

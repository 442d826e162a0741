from __future__ import annotations

import json

from service.local.asl import placeholders


def test_names_are_those_of_terraform_cloudformation_and_sam() -> None:
    assert placeholders.names("${a} ${AWS::Region} ${Fn.Arn} ${a-b} $${c} ${} ${d e} $x {f}") == {
        *("a", "AWS::Region", "Fn.Arn", "a-b", "c")
    }


def test_a_group_of_jsonata_is_not_a_placeholder() -> None:
    assert placeholders.names("{% $states.input.items.${name: price} %}") == set()


def test_values_are_escaped_for_json_and_other_names_stay() -> None:
    text = '{"a": "${x}", "b": ${n}, "c": "${y}"}'
    assert json.loads(placeholders.fill_in(text, {"x": '"\\', "n": "10"})) == {"a": '"\\', "b": 10, "c": "${y}"}


def test_numbers_lose_their_quotes_in_fields_that_hold_numbers() -> None:
    values = {"n": "10", "f": "1.5", "account": "012", "word": "soon"}
    text = (
        '{"Seconds":"${n}","BackoffRate":"${f}","TimeoutSeconds":"${word}","HeartbeatSeconds":"${account}","x":"${n}"}'
    )
    found = placeholders.fill_in_numbers(text, values)
    assert found == text.replace('"${n}"', "10", 1).replace('"${f}"', "1.5")


def test_placeholders_are_found_at_any_depth() -> None:
    source = {"a": ["${x} ${y}", {"${z}": 1}], "b": None}
    assert list(placeholders.found_in(source, {"x", "z", "w"})) == ["x", "z"]

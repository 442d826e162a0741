from __future__ import annotations

from typing import Any

import pytest

from service.local.asl.payload_template import PayloadTemplate
from service.local.asl.scope import EvaluationError, Scope


def fill(source: Any, data: Any = None, context: Any = None, **variables: Any) -> Any:
    template = PayloadTemplate(source)
    assert not template.faults
    return template.evaluate(Scope(data, context or {}, variables))


def test_the_template_of_the_specification_is_filled() -> None:
    source = {
        "flagged": True,
        "parts": {"first.$": "$.vals[0]", "last3.$": "$.vals[-3:]"},
        "weekday.$": "$$.DayOfWeek",
        "formattedOutput.$": "States.Format('Today is {}', $$.DayOfWeek)",
    }
    data = {"flagged": 7, "vals": [0, 10, 20, 30, 40, 50]}
    assert fill(source, data, {"DayOfWeek": "TUESDAY"}) == {
        "flagged": True,
        "parts": {"first": 0, "last3": [30, 40, 50]},
        "weekday": "TUESDAY",
        "formattedOutput": "Today is TUESDAY",
    }


def test_fields_keep_their_order_and_lists_are_filled_as_well() -> None:
    source = {"b.$": "$.x", "a": [{"c.$": "$.x"}, "$.x", [{"d.$": "$v"}]], "e": {}}
    filled = fill(source, {"x": 1}, v=2)
    assert filled == {"b": 1, "a": [{"c": 1}, "$.x", [{"d": 2}]], "e": {}}
    assert list(filled) == ["b", "a", "e"]


@pytest.mark.parametrize("source", [1, "$.a", [1, {"a": None}], {"a": {"b": ["$.c"]}}, {}])
def test_what_has_no_expressions_stays_as_it_is(source: Any) -> None:
    assert fill(source, {"a": 2}) == source


def test_every_fault_is_reported_with_its_place() -> None:
    template = PayloadTemplate({"a.$": "x", "b": [{"c.$": 1}], "d.$": "States.No()", "e": 1, "e.$": "$.e"})
    assert [where for where, _ in template.faults] == [".a.$", ".b[0].c.$", ".d.$", ".e"]


def test_a_missing_value_is_an_error_of_the_run() -> None:
    with pytest.raises(EvaluationError, match=r"'\$\.gone'"):
        fill({"a": {"b.$": "$.gone"}}, {})


def test_the_variables_of_paths_and_calls_are_known() -> None:
    template = PayloadTemplate({"a.$": "$x.y", "b": {"c.$": "States.Array($y, States.Format('{}', $z.a), $.q, $$.r)"}})
    assert template.variables == {"x", "y", "z"}

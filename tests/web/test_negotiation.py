from __future__ import annotations

import pytest

from service.errors import NotAcceptable
from service.web.negotiation import wants_stream


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        ["*/*"],
        ["application/json"],
        ["Application/JSON"],
        ["application/json; charset=utf-8"],
        ["application/*"],
        ["text/event-stream, application/json"],
        ["text/event-stream;q=0.5, application/json;q=0.6"],
        ["text/event-stream;q=0.5, */*"],
        ["text/html, application/xhtml+xml, */*;q=0.8"],
        ["text/event-stream;q=0, */*;q=0.1"],
        ["nonsense"],
        ["text/event-stream;q=2"],
        [";;,,=", "/"],
        ['text/event-stream;q="1'],
        ["application/json;q=0.1"],
    ],
)
def test_json_is_sent_unless_a_stream_is_preferred(headers: list[str]) -> None:
    assert not wants_stream(headers)


@pytest.mark.parametrize(
    "headers",
    [
        ["text/event-stream"],
        ["TEXT/Event-Stream ; q=0.1"],
        ["text/event-stream, */*;q=0.1"],
        ["application/json;q=0.5, text/event-stream"],
        ["application/json;q=0.5", "text/event-stream"],
        ["application/json;q=0, */*"],
        ["text/*"],
        ['text/event-stream;note="a, application/json"'],
        ["text/event-stream;q=0.001, text/*;q=0"],
    ],
)
def test_a_stream_is_sent_to_callers_that_prefer_it(headers: list[str]) -> None:
    assert wants_stream(headers)


@pytest.mark.parametrize(
    "headers",
    [
        ["text/html"],
        ["application/xml, image/*"],
        ["application/json;q=0"],
        ["*/*;q=0"],
        ["application/json;q=0, text/event-stream;q=0.000, */*"],
    ],
)
def test_only_a_header_that_excludes_both_is_not_acceptable(headers: list[str]) -> None:
    with pytest.raises(NotAcceptable):
        wants_stream(headers)

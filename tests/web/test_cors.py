from __future__ import annotations

import pytest

from service.web.cors import parse_origins


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*", {"*"}),
        ("https://app.example", {"https://app.example"}),
        (" http://localhost:3000 ,https://app.example", {"http://localhost:3000", "https://app.example"}),
        ("http://[::1]:3000", {"http://[::1]:3000"}),
    ],
)
def test_origins_are_parsed_as_browsers_send_them(text: str, expected: set[str]) -> None:
    assert parse_origins(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "app.example",
        "https://app.example/",
        "https://App.example",
        "https://a.example,*",
        "https://a.example,",
        None,
    ],
)
def test_an_origin_that_no_browser_sends_is_rejected(text: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_origins(text)

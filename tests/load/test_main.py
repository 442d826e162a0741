from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.load.__main__ import arguments


def test_without_a_body_the_callers_have_names_of_their_own() -> None:
    assert arguments().parse_args([]).body is None


def test_a_body_is_json_text_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "event.json"
    file.write_text(json.dumps({"a": 1}))
    assert arguments().parse_args(["--body", f"@{file}"]).body == '{"a": 1}'
    assert arguments().parse_args(["--body", "[]"]).body == "[]"


@pytest.mark.parametrize("body", ["", "{", "@/missing"])
def test_what_is_no_event_is_refused(body: str) -> None:
    with pytest.raises(SystemExit):
        arguments().parse_args(["--body", body])

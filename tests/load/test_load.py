from __future__ import annotations

import subprocess
from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from tests.load.__main__ import ROOT, event


def test_an_event_is_json_text_or_a_file_that_has_it(tmp_path: Path) -> None:
    (tmp_path / "event.json").write_text('{"order": 1}')
    assert event('{"name": "Ricardo"}') == '{"name": "Ricardo"}'
    assert event(f"@{tmp_path / 'event.json'}") == '{"order": 1}'


@pytest.mark.parametrize("text", ["@none.json", "{", "event.json"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="not the JSON text of an event"):
        event(text)


def test_make_passes_an_event_on_without_reading_its_quotes() -> None:
    command = ["make", "--dry-run", "load", "HOST=https://example.com", 'BODY={"name": "O\'Hara"}']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=20)
    assert '--host https://example.com --body "$BODY"' in done.stdout

"""The size and the layout of the code."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted([*(ROOT / "service").rglob("*.py"), *(ROOT / "tools").rglob("*.py")])


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(ROOT)))
def test_a_module_has_at_most_300_lines(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= 300


def test_the_service_has_at_most_nine_parts() -> None:
    ignored = {"__init__.py", "__pycache__"}
    assert len([entry for entry in (ROOT / "service").iterdir() if entry.name not in ignored]) <= 9

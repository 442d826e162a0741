from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tools.mutants.choice import choices
from tools.mutants.executions import Executions
from tools.mutants.listing import mutants
from tools.mutants.record import Record
from tools.mutants.source import Source

PART: Final = "service/web/part.py"
TEXT: Final = "LIMIT = 5\n\ndef f(a):\n    return a == LIMIT\n\ndef g(a):\n    return -a\n"
SLOW, OWN, QUICK, OTHER = "tests/a.py::slow", "tests/web/test_part.py::own", "tests/b.py::quick", "tests/b.py::g"


@pytest.fixture
def executions(tmp_path: Path) -> Executions:
    executed = {PART: {"1": [0, 1, 2, 3], "4": [0, 1, 2], "7": [3]}}
    record = Record({SLOW: 9.0, OWN: 2.0, QUICK: 0.1, OTHER: 0.1}, [], executed, {PART: TEXT}, {})
    return Executions(record, tmp_path)


def found(executions: Executions, text: str, name: str) -> set[str]:
    file = executions.root / PART
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    current = Executions(executions.record, executions.root)
    (mutant,) = (mutant for mutant in mutants(Source.read(executions.root, PART)) if mutant.name == f"{PART}:{name}")
    return current.tests(mutant)


def test_a_line_has_the_tests_that_execute_it(executions: Executions) -> None:
    assert found(executions, TEXT, "7 return None") == {OTHER}


def test_a_constant_has_the_tests_of_its_users(executions: Executions) -> None:
    assert found(executions, TEXT, "1 change number") == {SLOW, OWN, QUICK}


def test_a_constant_has_the_tests_that_use_it_themselves(executions: Executions) -> None:
    file = executions.root / "tests/b.py"
    file.parent.mkdir()
    file.write_text("def g():\n    assert 1 < part.LIMIT < 10\n")
    assert found(executions, TEXT, "1 change number") == {SLOW, OWN, QUICK, OTHER}


def test_a_line_may_have_moved_since(executions: Executions) -> None:
    assert found(executions, f"import os\n\n{TEXT}", "9 return None") == {OTHER}


def test_a_new_line_has_all_tests_of_the_module(executions: Executions) -> None:
    assert found(executions, TEXT.replace("-a", "+a"), "7 return None") == {SLOW, OWN, QUICK, OTHER}


@pytest.mark.parametrize(("budget", "second"), [(60, [QUICK, SLOW]), (5, [QUICK])])
def test_the_own_file_comes_first_and_then_the_shortest(
    executions: Executions, budget: float, second: list[str]
) -> None:
    found(executions, TEXT, "4 return None")
    (mutant,) = (part for part in mutants(Source.read(executions.root, PART)) if part.name == f"{PART}:4 return None")
    runs = choices(Executions(executions.record, executions.root), mutant, budget)
    assert [choice.chosen for choice in runs] == [[OWN], second]

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import pytest

from tools.mutants.examine import Examiner, Result
from tools.mutants.listing import mutants
from tools.mutants.record import Record, digest
from tools.mutants.source import Source
from tools.mutants.tree import Tree

FILES: Final = {
    "service/__init__.py": "",
    "service/web/__init__.py": "",
    "service/web/part.py": """LIMIT = 5

def is_full(n):
    return n >= LIMIT

def unused(n):
    while n < 3:
        n += 1
    return n
""",
    "tests/__init__.py": "",
    "tests/web/__init__.py": "",
    "tests/web/test_part.py": """from service.web.part import is_full, unused

def test_far_from_full():
    assert is_full(1) is False

def test_loop():
    assert unused(2)
""",
    "tests/test_other.py": """from service.web.part import is_full

def test_just_full():
    assert is_full(5)

def test_broken():
    assert is_full(0)
""",
    "pyproject.toml": """[tool.pytest.ini_options]
addopts = "-ra -p no:schemathesis -p no:locust"
asyncio_default_fixture_loop_scope = "function"
[tool.coverage.run]
source = ["service"]
""",
}


# Each mutant starts pytest, which takes seconds.
pytestmark = pytest.mark.timeout(300)

PART: Final = "service/web/part.py"
JUST_FULL: Final = "tests/test_other.py::test_just_full"
FAR: Final = "tests/web/test_part.py::test_far_from_full"
LOOP: Final = "tests/web/test_part.py::test_loop"
BROKEN: Final = "tests/test_other.py::test_broken"
UNNOTICED: Final = f"{PART}:7 swap comparison"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Pytest must find the plugin in a project that does not contain it.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    root = tmp_path / "project"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    subprocess.run(("git", "init", "-q"), cwd=root, check=True)  # noqa: S607 - git of the PATH
    return root


@pytest.fixture
def record(project: Path) -> Record:
    """What `Record.make` finds in the project, without running its tests."""
    executed = {"1": [], "4": [0, 1], "7": [2], "8": [2], "9": [2]}
    digests = {path: digest(project, path) for path in FILES if Path(path).name.startswith("test_")}
    return Record({JUST_FULL: 0.1, FAR: 0.1, LOOP: 0.1}, [BROKEN], {PART: executed}, {PART: FILES[PART]}, digests)


def examine(project: Path, record: Record, *names: str) -> list[Result]:
    chosen = [mutant for mutant in mutants(Source.read(project, PART)) if mutant.name in names]
    assert len(chosen) == len(names)
    return list(Examiner(project, record, budget=60, workers=1).results(chosen))


def test_the_record_knows_which_tests_execute_a_line_and_which_fail_without_a_fault(
    project: Path, record: Record, tmp_path: Path
) -> None:
    made = Record.make(Tree(project, tmp_path / "0"), 1)
    assert (list(made.durations), made.excluded) == (list(record.durations), record.excluded)
    assert {line: made.executed[PART][line] for line in record.executed[PART]} == record.executed[PART]
    assert made.texts[PART] == record.texts[PART]
    assert made.digests == record.digests


def test_a_saved_record_is_the_same(record: Record, tmp_path: Path) -> None:
    record.save(tmp_path / "record.json")
    assert Record.load(tmp_path / "record.json") == record


def test_the_own_file_comes_first_then_others_and_a_survivor_is_reported(project: Path, record: Record) -> None:
    lines = ("1 change number", "4 swap comparison", "4 return None")
    results = examine(project, record, *(f"{PART}:{line}" for line in lines), UNNOTICED)
    assert {result.name.removeprefix(f"{PART}:"): (result.by, result.tests) for result in results} == {
        "1 change number": (JUST_FULL, 2),  # a constant is tested by what executes its users
        "4 swap comparison": (JUST_FULL, 2),
        "4 return None": (FAR, 1),
        "7 swap comparison": ("", 1),
    }
    assert (project / PART).read_text() == FILES[PART]


def test_a_new_test_is_run_though_the_record_does_not_know_it(project: Path, record: Record) -> None:
    file = project / "tests/web/test_new.py"
    file.write_text("from service.web.part import unused\n\ndef test_end():\n    assert unused(3) == 3\n")
    (result,) = examine(project, record, UNNOTICED)
    assert result.by == "tests/web/test_new.py::test_end"


def test_an_endless_loop_is_noticed(project: Path, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.mutants.examine.START_S", 4)
    (result,) = examine(project, record, f"{PART}:8 swap operator")
    assert result.by == "timeout"

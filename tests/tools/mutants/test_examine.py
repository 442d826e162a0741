from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tools.mutants.examine import Examiner, Result
from tools.mutants.listing import mutants
from tools.mutants.record import Record
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

UNNOTICED: Final = "service/web/part.py:7 swap comparison"


@pytest.fixture(scope="module", autouse=True)
def plugin() -> Iterator[None]:
    """Let pytest find the plugin in a project that does not contain it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
        yield


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    subprocess.run(("git", "init", "-q"), cwd=root, check=True)  # noqa: S607 - git of the PATH
    return root


@pytest.fixture(scope="module")
def record(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Record:
    return Record.make(Tree(project, tmp_path_factory.mktemp("trees") / "0"), 1)


@pytest.fixture(scope="module")
def results(project: Path, record: Record) -> dict[str, Result]:
    lines = ("1 change number", "4 swap comparison", "4 return None", "7 swap comparison")
    return examine(project, record, *(f"service/web/part.py:{line}" for line in lines))


def examine(project: Path, record: Record, *names: str) -> dict[str, Result]:
    chosen = [mutant for mutant in mutants(Source.read(project, "service/web/part.py")) if mutant.name in names]
    return {result.name: result for result in Examiner(project, record, budget=60, workers=2).results(chosen)}


def test_the_record_knows_which_tests_execute_a_line(record: Record) -> None:
    tests = list(record.durations)
    assert [tests[number] for number in record.executed["service/web/part.py"]["4"]] == [
        "tests/test_other.py::test_just_full",
        "tests/web/test_part.py::test_far_from_full",
    ]


def test_a_test_that_fails_without_a_fault_is_excluded(record: Record) -> None:
    assert record.excluded == ["tests/test_other.py::test_broken"]


def test_a_saved_record_is_the_same(record: Record, tmp_path: Path) -> None:
    record.save(tmp_path / "record.json")
    assert Record.load(tmp_path / "record.json") == record


def test_a_test_of_another_file_notices_what_the_own_file_does_not(results: dict[str, Result]) -> None:
    result = results["service/web/part.py:4 swap comparison"]
    assert (result.by, result.tests) == ("tests/test_other.py::test_just_full", 2)


def test_the_own_file_comes_first(results: dict[str, Result]) -> None:
    result = results["service/web/part.py:4 return None"]
    assert (result.by, result.files) == ("tests/web/test_part.py::test_far_from_full", ["tests/web/test_part.py"])


def test_a_constant_is_tested_by_what_executes_its_users(results: dict[str, Result]) -> None:
    assert results["service/web/part.py:1 change number"].by == "tests/test_other.py::test_just_full"


def test_a_survivor_is_reported(results: dict[str, Result]) -> None:
    assert (results[UNNOTICED].noticed, results[UNNOTICED].tests) == (False, 1)


def test_the_project_itself_is_not_changed(project: Path, results: dict[str, Result]) -> None:
    assert results
    assert Source.read(project, "service/web/part.py").data.decode() == FILES["service/web/part.py"]


def test_a_new_test_is_run_though_the_record_does_not_know_it(project: Path, record: Record) -> None:
    file = project / "tests/web/test_new.py"
    file.write_text("from service.web.part import unused\n\ndef test_end():\n    assert unused(3) == 3\n")
    try:
        assert examine(project, record, UNNOTICED)[UNNOTICED].by == "tests/web/test_new.py::test_end"
    finally:
        file.unlink()


def test_an_endless_loop_is_noticed(project: Path, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.mutants.examine.START_S", 4)
    (result,) = examine(project, record, "service/web/part.py:8 swap operator").values()
    assert result.by == "timeout"

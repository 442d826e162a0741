from __future__ import annotations

from pathlib import Path

from tools.mutants.examine import Result
from tools.mutants.summary import load_equivalents, summary

EQUIVALENT = """
[[mutant]]
path = "service/web/part.py"
before = "a = 1"
after = "a = 2"
reason = "nobody reads it"
"""


def results(noticed: int, survived: int) -> list[Result]:
    marks = [True] * noticed + [False] * survived
    return [
        Result(f"service/web/part.py:{line} swap and/or", "a = 1", "a = 2", mark, "", 3, ["tests/web/test_part.py"], 1)
        for line, mark in enumerate(marks)
    ]


def test_nine_of_ten_noticed_are_enough() -> None:
    text, is_enough = summary(results(9, 1), [])
    assert is_enough
    assert text.splitlines() == [
        "service/web/part.py:9 swap and/or",
        "    - a = 1",
        "    + a = 2",
        "    3 tests ran in tests/web/test_part.py",
        "service/web: 9 of 10 noticed (90.0%), 0 equivalent",
        "all: 9 of 10 noticed (90.0%), 0 equivalent",
    ]


def test_fewer_are_not_enough() -> None:
    assert not summary(results(8, 2), [])[1]


def test_one_of_twenty_may_be_equivalent_but_not_more(tmp_path: Path) -> None:
    (tmp_path / "equivalent.toml").write_text(EQUIVALENT)
    known = load_equivalents(tmp_path / "equivalent.toml")
    text, is_enough = summary(results(19, 1), known)
    assert is_enough
    assert "equivalent: nobody reads it" in text
    assert "all: 19 of 20 noticed (95.0%), 1 equivalent" in text
    assert not summary(results(18, 2), known)[1]

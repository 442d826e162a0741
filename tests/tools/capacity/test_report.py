"""`python -m tools.capacity` as it is typed, and as docs/capacity.md shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from service.app.serve import MAX_RESPONSE_TIMEOUT_S
from service.app.settings import Settings
from tests.support.processes import command
from tools.capacity import report
from tools.capacity.__main__ import main

ROOT = Path(__file__).parents[3]


async def test_the_document_shows_what_the_command_prints() -> None:
    page = (ROOT / "docs" / "capacity.md").read_text(encoding="utf-8")
    section = page.partition("\n## What it prints\n")[2].partition("\n## ")[0]
    block = re.search(r"```text\n\$ python -m ([^\n]+)\n(.+?)```", section, re.DOTALL)
    assert block is not None
    async with command(*block[1].split()) as process:
        assert await process.wait() == 0
    assert "\n".join(process.stdout) == block[2].strip("\n")
    assert process.stderr == []


@pytest.mark.parametrize(
    "numbers",
    [
        ["--rps", "0", "--seconds", "11"],
        ["--rps", "-1", "--seconds", "11"],
        ["--rps", "many", "--seconds", "11"],
        ["--rps", "nan", "--seconds", "11"],
        ["--rps", "inf", "--seconds", "11"],
        ["--rps", "100001", "--seconds", "11"],
        ["--rps", "500", "--seconds", ""],
        ["--rps", "500", "--seconds", "286"],
        ["--rps", "500", "--seconds", "891", "--stream"],
        ["--rps", "500", "--seconds", "11", "--transitions", "0"],
        ["--rps", "500", "--seconds", "11", "--transitions", "8.5"],
        ["--rps", "500", "--seconds", "11", "--transitions", ""],
    ],
)
def test_a_bad_number_gives_one_line_and_status_2(numbers: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(numbers) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"--(rps|seconds|transitions) must be [^\n]+\n", err)


@pytest.mark.parametrize(
    "numbers",
    [
        ["--rps", "0.01", "--seconds", "0.1", "--transitions", "1"],
        ["--rps", "100000", "--seconds", "285", "--transitions", "10000"],
        ["--rps", "100000", "--seconds", "890", "--transitions", "10000", "--stream"],
    ],
)
def test_the_columns_fit_the_smallest_and_largest_numbers(
    numbers: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(numbers) == 0
    table = capsys.readouterr().out.split("\n\n")[2].splitlines()[1:-1]
    assert len(table) == 9
    for line in table:
        assert re.fullmatch(r"  \S.*\S +[\d,]+ +[\d,.]+ +[\d,.]+ req/s(  OVER)?", line), line


def test_a_stream_of_minutes_is_calculated_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rps", "10", "--seconds", "600", "--stream"]) == 0
    assert "each in flight for 600 seconds as a stream" in capsys.readouterr().out


def test_the_longest_waits_are_those_of_the_service() -> None:
    assert report.MAX_PLAIN_S == MAX_RESPONSE_TIMEOUT_S
    (longest,) = (rule.le for rule in Settings.model_fields["STREAM_TIMEOUT"].metadata if hasattr(rule, "le"))
    assert longest == report.MAX_STREAM_S


def test_transitions_describe_another_workflow(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rps", "500", "--seconds", "11", "--transitions", "3"]) == 0
    assert "Step Functions, 3 transitions" in capsys.readouterr().out

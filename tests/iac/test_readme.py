"""IaC/README.md: inputs, outputs and commands are those of the files"""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest

from tests.iac.files import README, blocks, named

pytestmark = pytest.mark.timeout(180)  # the parser takes seconds on a quiet machine

TEXT = README.read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading, without its head."""
    section = re.split(r"^## ", TEXT.partition(f"\n## {heading}\n")[2], flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def default(variable: dict[str, Any]) -> str:
    """Return a variable's default as one would write it; that of an object is in its type."""
    members = re.findall(r"(\w+) = optional\(\w+, ([^)]+)\)", " ".join(str(variable["type"]).split()))
    if members and variable["default"] == {}:
        return f"{{ {', '.join(f'{name} = {value}' for name, value in members)} }}"
    return json.dumps(variable["default"])


def commands() -> list[list[str]]:
    """Return the words of every `terraform` command in a block of code."""
    lines = re.findall(r"^    (?:\w+=\$\()?(terraform [^#\n)]+)", TEXT, flags=re.MULTILINE)
    return [shlex.split(line) for line in lines]


def test_the_table_of_inputs_is_that_of_the_variables() -> None:
    written = [
        [f"`{name}`", variable["description"], f"`{default(variable)}`"] for name, variable in named("variable").items()
    ]
    assert rows("Inputs") == written


def test_the_table_of_outputs_is_that_of_the_outputs() -> None:
    written = [[f"`{name}`", output["description"].replace('\\"', '"')] for name, output in named("output").items()]
    assert rows("Outputs") == written


def test_every_command_of_terraform_names_what_exists() -> None:
    resources = {".".join(block.labels) for block in blocks() if block.kind == "resource"}
    assert len(commands()) > 5
    for words in commands():
        if words[1] == "output":
            assert words[-1] in named("output"), words
        for number, word in enumerate(words):
            if word == "-var":
                assert words[number + 1].partition("=")[0] in named("variable"), words
            option, _, address = word.partition("=")
            if option in {"-target", "-replace"}:
                assert address.partition("[")[0] in resources, words

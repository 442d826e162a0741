"""IaC/README.md: contents, inputs, outputs and commands match the files"""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest

from tests.iac.files import MODULE, README, blocks, named

pytestmark = pytest.mark.timeout(180)  # the parser takes seconds even on an idle machine

TEXT = README.read_text(encoding="utf-8")
AUTHORIZATION = (MODULE / "authorization.tf").read_text(encoding="utf-8")


def section(heading: str) -> str:
    """Return the text under a heading."""
    return re.split(r"^## ", TEXT.partition(f"\n## {heading}\n")[2], flags=re.MULTILINE)[0]


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading, without the header row."""
    lines = [line for line in section(heading).splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def default(variable: dict[str, Any]) -> str:
    """Return a variable's default as written in HCL; the default of an object is in its type."""
    members = re.findall(r"(\w+) = optional\(\w+, ([^)]+)\)", " ".join(str(variable["type"]).split()))
    if members and variable["default"] == {} and str(variable["type"]).startswith("${object("):
        return f"{{ {', '.join(f'{name} = {value}' for name, value in members)} }}"
    return json.dumps(variable["default"])


def commands() -> list[list[str]]:
    """Return the words of every `terraform` command in a code block."""
    lines = re.findall(r"^    (?:\w+=\$\()?(terraform [^#\n)]+)", TEXT, flags=re.MULTILINE)
    return [shlex.split(line) for line in lines]


def test_the_contents_list_every_section() -> None:
    contents = re.findall(r"^- \[(.+)\]\(#.+\)$", TEXT, flags=re.MULTILINE)
    assert contents == re.findall(r"^## (.+)$", TEXT, flags=re.MULTILINE)


def test_the_deployment_has_every_step_in_order() -> None:
    deployment = section("Deploy")
    steps = [
        "terraform init",
        "terraform apply -target=module.sync_front.aws_ecr_repository.service",
        "docker build --target serve",
        "docker push",
        "terraform plan",
        "terraform apply\n",
        "aws ecs wait services-stable",
        'curl -s "$api_endpoint/event"',
    ]
    places = [deployment.find(f"    {step}") for step in steps]
    assert -1 not in places
    assert places == sorted(places)
    assert "    terraform destroy\n" in section("Destroy")


def test_the_inputs_table_matches_the_variables() -> None:
    written = [
        [f"`{name}`", variable["description"], f"`{default(variable)}`"] for name, variable in named("variable").items()
    ]
    assert rows("Inputs") == written


def test_the_outputs_table_matches_the_outputs() -> None:
    written = [[f"`{name}`", output["description"].replace('\\"', '"')] for name, output in named("output").items()]
    assert rows("Outputs") == written


def test_each_way_to_decide_who_may_call_has_a_command_and_the_variable_that_names_the_caller() -> None:
    variable = named("variable")["api_authorization"]["validation"][0]["condition"]
    callers = dict(re.findall(r'^ +(\w+) += "(context\.[\w.]+)"$', AUTHORIZATION, flags=re.MULTILINE))
    modes = re.findall(r'"([A-Z_]+)"', variable)
    assert set(modes) == {"NONE", *callers}
    written = {mode.strip("`"): caller for mode, _, caller in rows("Who may call")}
    for mode in modes:
        command = section("Who may call").partition(f"\n**`{mode}`**")[2].partition("\n**")[0]
        assert re.search(r"^    (aws)?curl .*event", command, flags=re.MULTILINE), mode
        assert callers.get(mode, "") in written[mode]


def test_every_terraform_command_names_existing_things() -> None:
    resources = {"module.sync_front." + ".".join(block.labels) for block in blocks() if block.kind == "resource"}
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


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("Deploy", "manage_api_gateway_account"),
        ("Update", "60 days"),
        ("Destroy", "manage_api_gateway_account"),
        ("Destroy", "containerinsights"),
        ("Destroy", "deregister-task-definition"),
        ("Destroy", "AWSLogDeliveryWrite20150319"),
        ("Inputs", "(appsync-api)"),
    ],
)
def test_what_no_plan_shows_is_told_where_it_happens(heading: str, words: str) -> None:
    assert words in section(heading)

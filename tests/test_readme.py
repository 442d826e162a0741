"""The README is checked against the code, and so are the settings page and the smallest workflow."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import aiohttp

from service.app.settings import Settings
from service.local import LocalAws
from tests.support.processes import service

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SETTINGS = (
    (ROOT / "docs" / "settings.md").read_text().partition("\n## Environment variables\n")[2].partition("\n## ")[0]
)
ROWS = [line.split("|") for line in SETTINGS.splitlines() if line.startswith("| `")]


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_the_settings_table_names_every_setting_and_no_other() -> None:
    assert {name for row in ROWS for name in re.findall(r"`(\w+)`", row[1])} == set(Settings.model_fields)


def test_the_settings_table_has_the_defaults() -> None:
    for name in ("PORT", "APPSYNC_NAMESPACE", "RESPONSE_TIMEOUT", "MAX_IN_FLIGHT", "DRAIN_TIMEOUT", "LOCAL_AWS_PORT"):
        row = next(row for row in ROWS if f"`{name}`" in row[1])
        assert str(Settings.model_fields[name].default) in row[3]


def test_the_example_of_settings_has_all_that_are_required_and_none_that_does_not_exist() -> None:
    lines = re.findall(r"^(# ?)?([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    own = {name: value for _, name, value in lines if not name.startswith("AWS_")}
    set_ = {name: value for mark, name, value in lines if not mark and not name.startswith("AWS_")}
    assert set(own) <= set(Settings.model_fields)
    Settings(**set_)
    Settings(**own | {"APPSYNC_API_KEY": ""})
    assert not any(set("\"'$ ") & set(value) for value in own.values())  # Docker and a shell read them alike


def test_every_docker_command_in_a_document_sets_what_exists() -> None:
    text = "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    names = re.findall(r" -e ([A-Z_]+)", text)
    assert len(names) > 2
    assert {name for name in names if not name.startswith(("AWS_", "HOME"))} <= set(Settings.model_fields)


def test_every_make_command_in_a_document_is_a_target() -> None:
    targets = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=20).stdout  # noqa: S607 - make is what the README names
    pages = [README, *(page.read_text() for page in [ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])]
    names = {name for page in pages for name in re.findall(r"(?:^    |`|\| )make ([a-z-]+)", page, re.MULTILINE)}
    assert {"run", "test", "image", "chaos"} <= names
    for name in names:
        assert f"make {name} " in targets


def test_the_deployment_in_the_readme_names_what_terraform_has() -> None:
    section = README.partition("\n## Deploy it\n")[2].partition("\n## ")[0]
    folder = ROOT / "IaC" / "terraform"
    terraform = "".join(path.read_text() for path in folder.glob("*.tf"))
    module = "".join(path.read_text() for path in (folder / "modules" / "sync-front").glob("*.tf"))
    outputs = re.findall(r"terraform output -raw (\w+)", section)
    targets = re.findall(r"-target=module\.sync_front\.(\w+)\.(\w+)", section)
    variables = re.findall(r'`(\w+)(?: = "[^`]+)?`', section)
    assert len(outputs) == 2
    assert len(targets) == 1
    assert variables == ["image_tag", "cpu_architecture", "api_authorization"]
    assert all(f'output "{name}" {{' in terraform for name in outputs)
    assert all(f'resource "{kind}" "{name}" {{' in module for kind, name in targets)
    assert all(f'variable "{name}" {{' in terraform for name in variables)
    example = (ROOT / "IaC" / "terraform" / "terraform.tfvars.example").read_text()
    (tag,) = set(re.findall(r'"\$repository:([^"]+)"', section))
    assert re.search(rf'^image_tag += "{re.escape(tag)}"$', example, re.MULTILINE)


async def test_the_smallest_workflow_answers(tmp_path: Path) -> None:
    definition = tmp_path / "workflow.asl.json"
    page = (ROOT / "docs" / "workflows.md").read_text().partition("\n## The smallest workflow\n")[2]
    definition.write_text(page.partition("```json\n")[2].partition("```")[0])
    async with (
        LocalAws(port=0, definition=definition) as aws,
        service(aws, REQUEST_SCHEMA="") as (_, url),
        aiohttp.ClientSession() as http,
        http.post(f"{url}/event", json={"name": "Ricardo"}) as response,
    ):
        body = json.loads(await response.read())
        assert (response.status, body) == (200, {"id": body["id"], "greeting": "Hello, Ricardo"})

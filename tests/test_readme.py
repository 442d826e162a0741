"""What the README says is checked against the code."""

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


def test_the_settings_table_names_every_setting_and_no_other() -> None:
    section = README.partition("## Settings")[2].partition("Credentials and endpoint overrides")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(Settings.model_fields)


def test_the_settings_table_tells_the_defaults() -> None:
    for name in ("PORT", "APPSYNC_NAMESPACE", "RESPONSE_TIMEOUT", "MAX_IN_FLIGHT", "DRAIN_TIMEOUT", "LOCAL_AWS_PORT"):
        row = next(line for line in README.splitlines() if line.startswith("| `") and f"`{name}`" in line)
        assert str(Settings.model_fields[name].default) in row.split("|")[3]


def test_every_make_command_that_the_readme_names_is_a_target() -> None:
    targets = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=20).stdout  # noqa: S607 - make is what the README names
    for name in set(re.findall(r"^    make (\w+)", README, re.MULTILINE)):
        assert f"make {name} " in targets


def test_every_file_that_the_readme_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README):
        assert (ROOT / target).exists(), target


async def test_the_readmes_own_workflow_answers(tmp_path: Path) -> None:
    definition = tmp_path / "workflow.asl.json"
    definition.write_text(README.partition("```json\n")[2].partition("```")[0])
    async with (
        LocalAws(port=0, definition=definition) as aws,
        service(aws, REQUEST_SCHEMA="") as (_, url),
        aiohttp.ClientSession() as http,
        http.post(f"{url}/event", json={"name": "Ricardo"}) as response,
    ):
        body = json.loads(await response.read())
        assert (response.status, body) == (200, {"id": body["id"], "greeting": "Hello, Ricardo"})

"""Local use: what it needs, which workflow and schema it takes, and where it listens."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
from pathlib import Path

import aiohttp
import pytest

from service.app import local as local_use
from service.app.settings import SettingsError
from service.local import WORKFLOW, LocalAws
from tests.support.processes import command, local, running, settings_for

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "workflows.md").read_text().partition("\n## The smallest workflow\n")[2]
SMALLEST = PAGE.partition("```json\n")[2].partition("```")[0]
PERSON = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "examples": ["Ana"]}}}

WITHOUT_JSONATA = "import sys; sys.modules['jsonata'] = None;"
WITHOUT_THE_LOCAL_AWS = f"{WITHOUT_JSONATA} sys.modules['service.local'] = None;"
MAIN = "from service.app.cli import main; sys.exit(main([{!r}]))"


async def test_serve_starts_and_stops_without_jsonata_and_without_the_local_aws() -> None:
    async with (
        LocalAws(port=0) as aws,
        running("-c", f"{WITHOUT_THE_LOCAL_AWS} {MAIN.format('serve')}", env=settings_for(aws)) as process,
    ):
        await process.logged("link_subscription_confirmed")
        process.send(signal.SIGTERM)
        assert await process.wait() == 0


async def test_only_the_local_command_imports_the_local_aws() -> None:
    script = f"""{WITHOUT_THE_LOCAL_AWS}
import importlib, pkgutil
import service
import service.app.cli, service.app.serve
for module in pkgutil.walk_packages(service.__path__, "service."):
    if module.name not in {{"service.__main__", "service.local", "service.app.local"}}:
        importlib.import_module(module.name)
        print(module.name)
"""
    async with running("-c", script) as process:
        assert await process.wait() == 0, process.stderr
        assert {"service.app.cli", "service.app.serve", "service.telemetry.otel"} <= set(process.stdout)


async def test_local_without_its_extra_ends_with_one_line_that_names_the_extra() -> None:
    async with running("-c", f"{WITHOUT_JSONATA} {MAIN.format('local')}") as process:
        assert await process.wait() == 1
        assert process.stderr == ["`sync-front local` needs an extra; run: pip install 'sync-front[local]'"]


async def test_another_missing_module_is_not_mistaken_for_the_extra() -> None:
    without = "import sys; sys.modules['service.web.example'] = None;"
    async with running("-c", f"{without} {MAIN.format('local')}") as process:
        assert await process.wait() == 1
        assert "ModuleNotFoundError" in process.stderr[-1]


@pytest.mark.parametrize(
    ("schema", "offered", "greeting"), [(None, {}, "Hello, "), (PERSON, {"name": "Ana"}, "Hello, Ana")]
)
async def test_a_workflow_of_ones_own_has_the_schema_beside_it_or_none(
    tmp_path: Path, schema: object, offered: object, greeting: str
) -> None:
    (tmp_path / "greet.json").write_text(SMALLEST)
    if schema is not None:
        (tmp_path / "greet.schema.json").write_text(json.dumps(schema))
    async with local("--workflow", str(tmp_path / "greet.json")) as (process, url), aiohttp.ClientSession() as http:
        await process.until(lambda: len(process.stdout) >= 6)
        assert shlex.split("\n".join(process.stdout[2:4]))[-1] == json.dumps(offered)
        assert ("any JSON object is accepted" in "\n".join(process.stdout)) == (schema is None)
        async with http.post(f"{url}/event", json=offered) as response:
            assert (response.status, (await response.json())["greeting"]) == (200, greeting)
        async with http.post(f"{url}/event", json={"name": 1}) as response:
            assert response.status == (200 if schema is None else 422)


@pytest.mark.parametrize("name", ["order.json", "order.asl.json", "order.asl", "order", "order.yaml", "order.asl.yml"])
def test_the_schema_of_a_workflow_has_its_name(name: str) -> None:
    assert local_use._schema_beside(Path("some") / name) == Path("some", "order.schema.json")


async def test_the_demonstration_keeps_its_schema_and_its_event_however_it_is_named() -> None:
    path = WORKFLOW.parent / ".." / WORKFLOW.parent.name / WORKFLOW.name
    async with local("--workflow", str(path)) as (process, url), aiohttp.ClientSession() as http:
        await process.until(lambda: len(process.stdout) >= 6)
        assert "Ricardo" in "\n".join(process.stdout)
        async with http.post(f"{url}/event", json={}) as response:
            assert response.status == 422


def test_a_schema_that_is_set_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUEST_SCHEMA", "")
    assert local_use._schema_beside(Path("order.json")) is None


@pytest.mark.parametrize("text", ["{", '{"type": "order"}', "null"])
def test_a_schema_beside_a_workflow_that_cannot_be_used_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "order.schema.json").write_text(text)
    with pytest.raises(SettingsError, match=r"order\.schema\.json: is not"):
        local_use._schema_beside(tmp_path / "order.json")


@pytest.mark.parametrize("file", ["greet.json", "my workflows/greet.json", "it's.json"])
def test_make_run_passes_on_the_name_of_a_file_whatever_is_in_it(file: str) -> None:
    given = [f"WORKFLOW={file}", f"MOCKS={file}", "SET=a=1 b=x:y"]
    command_line = ["make", "--dry-run", "--no-print-directory", "run", *given]
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # of a make around it
    done = subprocess.run(command_line, cwd=ROOT, env=env, capture_output=True, text=True, check=True, timeout=20)
    options = shlex.split(done.stdout.splitlines()[-1])[-8:]
    assert options == ["--set", "a=1", "--set", "b=x:y", "--mocks", file, "--workflow", file]


@pytest.mark.parametrize(
    ("host", "where", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80", "http://127.0.0.1:80"),
        ("localhost", "http://localhost:80", "http://localhost:80"),
        ("::1", "http://[::1]:80", "http://[::1]:80"),
        ("0.0.0.0", "all addresses of this machine, port 80", "http://127.0.0.1:80"),
        ("::", "all addresses of this machine, port 80", "http://127.0.0.1:80"),
        ("0::0", "all addresses of this machine, port 80", "http://127.0.0.1:80"),
    ],
)
def test_the_banner_says_where_the_service_listens(host: str, where: str, url: str) -> None:
    banner = local_use._banner(host, 80, "/event", {})
    assert f"Listening on {where}  (" in banner
    assert f"curl -s {url}/event" in banner
    assert f"{url}/_local/" in banner


def test_the_banner_says_who_calls_if_the_service_has_to_know() -> None:
    banner = local_use._banner("127.0.0.1", 80, "/event", {}, "X-It's")
    command_line = banner[banner.index("curl") :].partition("\n\n")[0]
    assert shlex.split(command_line)[-4:] == ["-H", "X-It's: me", "-d", "{}"]


@pytest.mark.parametrize("host", [None, " "])
async def test_local_use_can_be_reached_from_this_machine_alone(host: str | None) -> None:
    environment = {"PORT": "0", "LOCAL_AWS_PORT": "0", "LOG_FORMAT": "json", **({} if host is None else {"HOST": host})}
    async with command("service", "local", env=environment) as process:
        port = (await process.logged("started"))["port"]
        await process.until(lambda: bool(process.stdout))
        assert process.stdout[0].startswith(f"Listening on http://127.0.0.1:{port}  (")
        with pytest.raises(OSError):  # noqa: PT011 - each system has its own
            await asyncio.open_connection("127.0.0.2", port)

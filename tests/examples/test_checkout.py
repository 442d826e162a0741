"""The example of a workflow that runs another one, as the document says to run both."""

from __future__ import annotations

import json
import re
from typing import Any

import aiohttp

from service.local import Definition, LocalAws
from tests.examples.test_three_steps import ORDER, ROOT, client, commands
from tests.support.processes import local, service

FOLDER = ROOT / "examples"
WORKFLOWS = FOLDER / "workflows.toml"
PREFIX = LocalAws.state_machine_arn.rpartition(":")[0]
MACHINES = [
    Definition(f"{PREFIX}:checkout", FOLDER / "checkout.asl.json"),
    Definition(f"{PREFIX}:quote", FOLDER / "quote.asl.json", "event"),
]
TOO_MANY = ORDER | {"lines": [{"quantity": 101, "price": 1}]}


async def post(http: aiohttp.ClientSession, url: str, order: Any = ORDER) -> tuple[int, dict[str, Any]]:
    async with http.post(url, json=order) as response:
        body = json.loads(await response.read())
        return response.status, {name: value for name, value in body.items() if name != "id"}


async def test_the_documented_commands_run_a_workflow_that_runs_another_one() -> None:
    (example,) = [line for line in commands("docs/workflows.md") if "/checkout" in line]
    assert f"--workflows {WORKFLOWS.relative_to(ROOT)}" in (ROOT / "docs" / "workflows.md").read_text()
    order = json.loads(re.findall(r"-d '(.*)'", example)[0])
    async with local("--workflows", str(WORKFLOWS)) as (_, url), client() as http:
        assert await post(http, f"{url}/checkout", order) == (200, {"customer": "Ricardo", "total": 42})
        assert await post(http, f"{url}/quote", order) == (200, {"total": 42})
        assert (await post(http, f"{url}/checkout", {"customer": "Ricardo"}))[0] == 422


async def test_an_error_of_the_second_machine_has_its_status_at_both_paths() -> None:
    async with (
        LocalAws(port=0, machines=MACHINES) as aws,
        service(aws, WORKFLOWS=str(WORKFLOWS)) as (_, url),
        client() as http,
    ):
        for name in ("checkout", "quote"):
            status, problem = await post(http, f"{url}/{name}", TOO_MANY)
            assert (status, problem["title"]) == (409, "OutOfStock")
        assert [execution.error for execution in aws.executions.values()] == ["OutOfStock"] * 3


async def test_the_reply_is_published_by_the_first_machine_and_not_read_from_the_record() -> None:
    async with (
        LocalAws(port=0, machines=MACHINES) as aws,
        service(aws, WORKFLOWS=str(WORKFLOWS)) as (_, url),
        client() as http,
    ):
        assert (await post(http, f"{url}/checkout"))[0] == 200
        assert aws.calls["DescribeExecution"] + aws.calls["GetExecutionHistory"] == 0
        assert aws.relay is not None
        assert (aws.relay.started, len(aws.executions)) == (0, 2)

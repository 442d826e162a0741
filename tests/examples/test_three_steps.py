"""The second example workflow, run by the real service, and the curl command that documents it."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path

import aiohttp
import pytest

from service.local import LocalAws
from tests.support.processes import service
from tests.support.streams import Events

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / "examples" / "three-steps.asl.json"
SCHEMA = ROOT / "examples" / "three-steps.schema.json"
ORDER = json.loads(SCHEMA.read_text())["examples"][0]


def client() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=40))


async def test_an_order_gets_its_receipt_and_an_invalid_order_is_rejected() -> None:
    async with (
        LocalAws(port=0, wait=0, definition=WORKFLOW) as aws,
        service(aws, REQUEST_SCHEMA=str(SCHEMA)) as (_, url),
        client() as http,
    ):
        async with http.post(f"{url}/event", json=ORDER) as response:
            body = await response.json()
            assert (response.status, body) == (200, {"id": body["id"], "customer": "Ricardo", "total": 42})
        async with http.post(f"{url}/event", json=ORDER | {"lines": [{"quantity": 0, "price": 1}]}) as response:
            problem = json.loads(await response.read())
            assert (response.status, problem["errors"][0]["pointer"]) == (422, "/lines/0/quantity")


async def test_a_failure_of_the_workflow_is_published_as_a_reply() -> None:
    async with (
        LocalAws(port=0, wait=0, definition=WORKFLOW) as aws,
        service(aws, REQUEST_SCHEMA="") as (_, url),
        client() as http,
        http.post(f"{url}/event", json={"lines": [{"quantity": "many", "price": 1}]}) as response,
    ):
        problem = json.loads(await response.read())
        assert (response.status, problem["error"]) == (502, "States.QueryEvaluationError")


async def test_a_stream_shows_each_step_before_the_next_one_is_done() -> None:
    steps = ["checked", "priced", "packed"]
    async with (
        LocalAws(port=0, wait=0.5, definition=WORKFLOW) as aws,
        service(aws, REQUEST_SCHEMA=str(SCHEMA)) as (_, url),
        client() as http,
        http.post(f"{url}/event", json=ORDER, headers={"Accept": "text/event-stream"}) as response,
    ):
        stream = Events(response)
        first = await stream.next()
        assert first is not None
        assert first[0] == "running"
        for step in steps:
            event = await stream.next()
            assert event is not None
            assert (event[0], event[1], event[2]["progress"]["step"]) == ("progress", None, step)
            assert aws.running == 1 or step == "packed"
        last = await stream.next()
        assert last is not None
        assert (last[0], last[1], last[2]["total"]) == ("result", "end", 42)


def commands(page: str) -> list[str]:
    """Return the curl commands of a document, one per line."""
    text = (ROOT / page).read_text().replace("\\\n", " ")
    return re.findall(r"^ *(curl .*)$", text, re.MULTILINE)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_documented_curl_command_shows_progress_live() -> None:
    (command,) = [line for line in commands("docs/workflows.md") if "text/event-stream" in line]
    async with (
        LocalAws(port=0, wait=1, definition=WORKFLOW) as aws,
        service(aws, REQUEST_SCHEMA=str(SCHEMA)) as (_, url),
    ):
        curl = await asyncio.create_subprocess_shell(
            command.replace("http://127.0.0.1:8080", url), stdout=asyncio.subprocess.PIPE
        )
        assert curl.stdout is not None
        async with asyncio.timeout(30):
            # Events that curl prints while the execution is still running were sent live.
            seen = [
                (line[7:].decode().strip(), aws.running) async for line in curl.stdout if line.startswith(b"event: ")
            ]
            assert await curl.wait() == 0
    assert [name for name, _ in seen] == ["running", "progress", "progress", "progress", "result"]
    assert [running for _, running in seen][:3] == [1, 1, 1]

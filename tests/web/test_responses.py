from __future__ import annotations

import asyncio
import re

import aiohttp

from tests.support.front import NAMES, front
from tests.support.ids import ID
from tests.support.step_functions import described


def timing(response: aiohttp.ClientResponse) -> dict[str, float]:
    """Parse `Server-Timing` into milliseconds by name."""
    return {name: float(value) for name, value in re.findall(r"(\w+);dur=([\d.]+)", response.headers["Server-Timing"])}


async def test_a_result_says_where_the_time_went() -> None:
    async with front() as it:
        request = asyncio.create_task(it.client.post("/event", json=NAMES))
        execution_id = await it.stage.started()
        loop = asyncio.get_running_loop()
        began = loop.time()
        loop.call_later(0.3, it.stage.reply, execution_id, {})
        spent = timing(await request)
        assert spent["bridge"] + spent["workflow"] < 1000 * (loop.time() - began) + spent["start"] + 500
        assert set(spent) == {"start", "workflow", "bridge"}
        assert 200 < spent["workflow"] < 5000
        assert 0 < spent["start"] < 5000
        assert spent["bridge"] < 1000


async def test_a_result_read_later_says_how_long_the_workflow_took() -> None:
    async with front() as it:
        it.stage.endpoint.script("DescribeExecution", described("SUCCEEDED", output="{}", stopDate=12.5))
        async with it.client.get(f"/event/{ID}") as response:
            assert timing(response)["workflow"] == 11_500


async def test_a_failed_workflow_says_where_the_time_went_and_which_preference_was_applied() -> None:
    async with front() as it:
        it.stage.endpoint.script("DescribeExecution", described("FAILED", error="Broken", stopDate=2.0))
        async with it.client.get(f"/event/{ID}", headers={"Prefer": "wait=1"}) as response:
            assert response.status == 502
            assert timing(response)["workflow"] == 1000
            assert response.headers["Preference-Applied"] == "wait=1"


async def test_a_full_instance_does_not_claim_to_have_applied_the_wait() -> None:
    async with front(max_in_flight=1) as it:
        in_flight = asyncio.create_task(it.client.post("/event", json=NAMES))
        own = await it.stage.started()
        it.stage.endpoint.script("DescribeExecution", described("RUNNING", input="{}"))
        async with it.client.get(f"/event/{ID}", headers={"Prefer": "wait=5"}) as response:
            assert response.status == 202
            assert "Preference-Applied" not in response.headers
        it.stage.reply(own, {})
        assert (await in_flight).status == 200

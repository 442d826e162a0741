from __future__ import annotations

import asyncio

import pytest

from tests.support.front import NAMES, front
from tests.support.ids import ID
from tests.support.step_functions import described, error


async def test_a_caller_that_prefers_not_to_wait_gets_the_location_at_once() -> None:
    async with front() as it, it.client.post("/event", json=NAMES, headers={"Prefer": "respond-async"}) as response:
        assert response.status == 202
        assert response.headers["Preference-Applied"] == "respond-async"


async def test_a_caller_can_choose_how_long_to_wait() -> None:
    async with front() as it:
        response = await it.post_and_reply({}, headers={"Prefer": "wait=600"})
        assert (response.status, response.headers["Preference-Applied"]) == (200, "wait=10")
        async with it.client.post("/event", json=NAMES, headers={"Prefer": "wait=0"}) as response:
            assert (response.status, response.headers["Preference-Applied"]) == (202, "wait=0")


async def test_a_wait_is_capped_by_the_bound_of_the_representation_that_is_sent() -> None:
    async with front(response_timeout=3, stream_timeout=9) as it:
        for accept, applied in (("application/json", "wait=3"), ("text/event-stream", "wait=9")):
            response = await it.post_and_reply({}, headers={"Prefer": "wait=600", "Accept": accept})
            assert response.headers["Preference-Applied"] == applied
            await response.read()
            it.stage.endpoint.calls.clear()


@pytest.mark.parametrize(("accept", "ends"), [("application/json", False), ("text/event-stream", True)])
async def test_without_a_preference_each_representation_has_a_wait_of_its_own(accept: str, ends: bool) -> None:
    async with front(response_timeout=30, stream_timeout=0.01) as it:
        request = asyncio.create_task(it.client.post("/event", json=NAMES, headers={"Accept": accept}))
        execution_id = await it.stage.started()
        if not ends:
            it.stage.reply(execution_id, {})
        async with await request as response:
            assert ('"location"' in await response.text()) == ends


MALFORMED = ["x", "exec-1", ID.upper(), ID + "0", "exec-%0a", "..%2fhealthz"]
MADE_UP = "exec-38ecfe24-32d2-443c-813f-97d797a8a2f9"


@pytest.mark.parametrize("execution_id", [*MALFORMED, MADE_UP, ID[:-1] + ("1" if ID.endswith("0") else "0")])
async def test_an_id_that_this_service_did_not_make_is_not_found_without_a_call_to_aws(execution_id: str) -> None:
    async with front() as it:
        for method in ("GET", "HEAD", "DELETE"):
            async with it.client.request(method, f"/event/{execution_id}") as response:
                assert response.status == 404
        assert it.stage.endpoint.calls == []


async def test_a_made_up_id_looks_like_one_without_an_execution() -> None:
    async with front() as it:
        it.stage.endpoint.script("DescribeExecution", error("ExecutionDoesNotExist"))
        gone = await it.problem("GET", f"/event/{ID}", 404, "unknown-execution")
        made_up = await it.problem("GET", f"/event/{MADE_UP}", 404, "unknown-execution")
        assert {name for name in gone if gone[name] != made_up.get(name)} == {"id", "instance", "request_id"}


@pytest.mark.parametrize("name", [MADE_UP, "started-by_hand-1"])
async def test_executions_started_elsewhere_can_be_read_but_not_stopped_if_a_setting_says_so(name: str) -> None:
    async with front(read_foreign=True) as it:
        it.stage.endpoint.script("DescribeExecution", described("SUCCEEDED", output='{"a": 1}'))
        async with it.client.get(f"/event/{name}") as response:
            assert await response.json() == {"id": name, "a": 1}
        await it.problem("DELETE", f"/event/{name}", 404, "unknown-execution")
        await it.problem("GET", "/event/not.a.name", 404, "unknown-execution")
        assert [action for action, _ in it.stage.endpoint.calls] == ["DescribeExecution"]


async def test_guesses_of_foreign_executions_leave_the_quota_to_ids_of_this_service() -> None:
    async with front(read_foreign=True) as it:
        it.stage.record.budgets.describe._guess_bucket._tokens = -10_000
        it.stage.endpoint.script("DescribeExecution", described("RUNNING"))
        await it.problem("GET", f"/event/{MADE_UP}", 503, "throttled")
        async with it.client.get(f"/event/{ID}") as response:
            assert response.status == 202

from __future__ import annotations

import pytest

from tests.support.front import ID, NAMES, front


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


@pytest.mark.parametrize("execution_id", ["x", "exec-1", ID.upper(), ID + "0", "exec-%0a", "..%2fhealthz"])
async def test_a_malformed_id_is_not_found_without_a_call_to_aws(execution_id: str) -> None:
    async with front() as it:
        for method in ("GET", "DELETE"):
            async with it.client.request(method, f"/event/{execution_id}") as response:
                assert response.status == 404
        assert it.stage.endpoint.calls == []

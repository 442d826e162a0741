from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.bridge.caller_rates import CallerRates
from service.bridge.ids import Ids
from service.stepfunctions.token_bucket import Quota
from service.web.callers import Callers
from tests.support.front import NAMES, Front, front
from tests.support.ids import ID, IDS
from tests.support.step_functions import described
from tests.support.within import within

HEADER = "X-Caller"
ALICE, BOB = {HEADER: "alice"}, {HEADER: "bob"}
UNKNOWN = {"missing": [], "empty": [(HEADER, "")], "blank": [(HEADER, " ")], "repeated": [(HEADER, "alice")] * 2}


@pytest.mark.parametrize("headers", UNKNOWN.values(), ids=UNKNOWN)
async def test_a_request_whose_caller_the_gateway_does_not_name_is_refused_counted_and_logged(headers: Any) -> None:
    async with front(caller_header=HEADER) as it:
        with capture_logs() as logs:
            for method, path in (("POST", "/event"), ("GET", f"/event/{ID}"), ("DELETE", f"/event/{ID}")):
                await it.problem(method, path, 500, "caller-unknown", json=NAMES, headers=headers)
        assert it.stage.endpoint.calls == []
        assert [(line["log_level"], line["problem"]) for line in logs] == [("warning", "caller-unknown")] * 3
        async with it.client.get("/metrics") as response:
            assert '{operation="start",outcome="caller-unknown",workflow="event"} 1.0' in await response.text()


async def test_probes_and_documents_need_no_caller() -> None:
    async with front(caller_header=HEADER) as it:
        for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"):
            async with it.client.get(path) as response:
                assert response.status == 200


def test_a_secret_may_be_any_bytes() -> None:
    secret = os.fsdecode(bytes(range(240, 256)))  # as the environment has them
    ids = Ids("event", [secret], secret)
    assert ids.verify(ids.new("alice"), "alice")
    Callers(HEADER, secret)


async def test_without_the_setting_the_header_means_nothing() -> None:
    async with front() as it:
        response = await it.post_and_reply({}, headers=ALICE)
        assert IDS.verify((await response.json())["id"])


async def test_the_id_of_another_caller_is_not_found_without_a_call_to_aws() -> None:
    async with front(caller_header=HEADER) as it:
        it.stage.endpoint.script("DescribeExecution", described("SUCCEEDED", output='{"a": 1}'))
        for execution_id in (IDS.new("alice"), IDS.for_key("order-17", "alice")):
            for method in ("GET", "HEAD", "DELETE"):
                async with it.client.request(method, f"/event/{execution_id}", headers=BOB) as response:
                    assert response.status == 404
            assert it.stage.endpoint.calls == []
            async with it.client.get(f"/event/{execution_id}", headers=ALICE) as response:
                assert await response.json() == {"id": execution_id, "a": 1}
            it.stage.endpoint.calls.clear()


async def test_the_id_of_a_request_belongs_to_its_caller() -> None:
    async with front(caller_header=HEADER) as it:
        headers = ALICE | {"Prefer": "respond-async"}
        async with it.client.post("/event", json=NAMES, headers=headers) as response:
            execution_id = (await response.json())["id"]
        assert IDS.verify(execution_id, "alice")


async def test_the_same_key_of_two_callers_is_two_executions_and_of_one_caller_one() -> None:
    async with front(caller_header=HEADER) as it:
        key = {"Idempotency-Key": "order-17"}
        posts = [
            asyncio.create_task(it.client.post("/event", json=NAMES, headers=key | who)) for who in (ALICE, BOB, BOB)
        ]
        started = {await it.stage.started(1), await it.stage.started(2)}
        for execution_id in started:
            it.stage.reply(execution_id, {"of": execution_id})
        alice, *bobs = [await response.json() for response in await asyncio.gather(*posts)]
        assert {alice["id"], bobs[0]["id"]} == started
        assert alice["of"] == alice["id"] == IDS.for_key("order-17", "alice")
        assert bobs[0] == bobs[1]


async def log_of(it: Front, headers: Any) -> dict[str, Any]:
    with capture_logs() as logs:
        async with it.client.post("/event", json=NAMES, headers=headers | {"Prefer": "respond-async"}):
            pass
    return {**next(line for line in logs if line["event"] == "request")}


async def test_the_log_has_a_keyed_hash_of_the_caller_and_never_its_name() -> None:
    async with front(caller_header=HEADER) as it:
        first, again, other = [await log_of(it, who) for who in (ALICE, ALICE, BOB)]
    assert first["caller"] == again["caller"] != other["caller"]
    assert len(first["caller"]) == 16
    assert "alice" not in str(first)


async def test_a_caller_may_have_any_bytes_for_a_name() -> None:
    async with front(caller_header=HEADER) as it:
        line = await log_of(it, {HEADER: "caf\udce9, arn:aws:iam::1:user/x"})
        assert (line["status"], len(line["caller"])) == (202, 16)


async def test_a_caller_over_its_rate_gets_429_and_others_and_probes_are_served() -> None:
    async with front(caller_header=HEADER, caller_rates=CallerRates(Quota(1, 1 / 60))) as it:
        for method, path in (("POST", "/event"), ("GET", f"/event/{ID}"), ("DELETE", f"/event/{ID}")):
            await log_of(it, ALICE)
            problem = await it.problem(method, path, 429, "caller-rate-exceeded", json=NAMES, headers=ALICE)
            assert "requests a second" in problem["detail"]
        assert (await log_of(it, BOB))["status"] == 202
        async with it.client.get("/metrics", headers=ALICE) as response:
            metrics = await response.text()
        assert metrics.count('outcome="caller-rate-exceeded",workflow="event"} 1.0') == 2  # read and stop
        assert '{operation="start",outcome="caller-rate-exceeded",workflow="event"} 3.0' in metrics
        assert "alice" not in metrics


async def test_a_caller_has_no_more_than_its_share_of_a_workflow() -> None:
    async with front(caller_header=HEADER, max_in_flight=8, caller_limit=4, share=2) as it:
        first = asyncio.create_task(it.client.post("/event", json=NAMES, headers=ALICE))
        execution_id = await it.stage.started()
        problem = await it.problem("POST", "/event", 429, "caller-share-exceeded", json=NAMES, headers=ALICE)
        assert problem["detail"] == "Each caller may have 1 requests for this workflow in flight."
        assert (await log_of(it, BOB))["status"] == 202
        it.stage.reply(execution_id, {})
        assert (await first).status == 200
        assert (await log_of(it, ALICE))["status"] == 202


async def test_a_caller_at_its_share_gets_429_and_others_are_served() -> None:
    async with front(caller_header=HEADER, caller_limit=1) as it:
        first = asyncio.create_task(it.client.post("/event", json=NAMES, headers=ALICE))
        execution_id = await it.stage.started()
        problem = await it.problem("POST", "/event", 429, "caller-share-exceeded", json=NAMES, headers=ALICE)
        assert problem["detail"] == "Each caller may have 1 requests in flight."
        it.stage.endpoint.script("DescribeExecution", described("RUNNING", input="{}"))
        async with within(5), it.client.get(f"/event/{execution_id}", headers=ALICE | {"Prefer": "wait=10"}) as read:
            assert read.status == 202
        assert (await log_of(it, BOB))["status"] == 202
        it.stage.reply(execution_id, {})
        assert (await first).status == 200
        assert (await log_of(it, ALICE))["status"] == 202

"""`POST /event/{id}/retry` over real HTTP, with the bridge on a test stage."""

from __future__ import annotations

import asyncio
import json

import pytest
from structlog.testing import capture_logs

from service.web.context import METRICS
from tests.support.front import Front, front
from tests.support.ids import ID
from tests.support.step_functions import Script, described, error, ok

INPUT = json.dumps({"id": ID, "event": "{}", "reply": {"channel": f"ns/me/{ID}"}})
FAILED = described("FAILED", error="Broken", input=INPUT)
RETRY = f"/event/{ID}/retry"


def failed(it: Front, answer: Script | None = None) -> None:
    it.stage.endpoint.script("DescribeExecution", FAILED)
    it.stage.endpoint.script("RedriveExecution", answer or ok(redriveDate=2.0))


async def test_a_retry_responds_with_the_result_of_the_new_run() -> None:
    async with front() as it:
        failed(it)
        request = asyncio.create_task(it.client.post(RETRY, headers={"X-Request-Id": "mine"}))
        await it.stage.endpoint.arrived("RedriveExecution")
        end = {"id": ID, "status": "SUCCEEDED", "outputText": '{"n":1.0}', "redrives": 1}
        it.stage.replies.deliver(json.dumps(end))
        async with await request as response:
            assert (response.status, await response.text()) == (200, f'{{"id":"{ID}","n":1.0}}')
            assert response.headers["X-Request-Id"] == "mine"
            steps = [step.partition(";")[0].strip() for step in response.headers["Server-Timing"].split(",")]
            assert steps == ["start", "workflow", "bridge"]
        it.stage.assert_nothing_in_flight()


async def test_a_retry_needs_no_body_and_takes_any() -> None:
    async with front() as it:
        failed(it)
        for more in ({}, {"data": b"{"}, {"json": {"nome": 1}}):
            async with it.client.post(RETRY, headers={"Prefer": "respond-async"}, **more) as response:
                assert response.status == 202
                assert response.headers["Location"] == f"/event/{ID}"
                assert response.headers["Preference-Applied"] == "respond-async"


async def test_a_retry_that_cannot_be_made_is_a_conflict() -> None:
    async with front() as it:
        it.stage.endpoint.script("DescribeExecution", described("SUCCEEDED", output="1"))
        problem = await it.problem("POST", RETRY, 409, "not-retryable")
        assert (problem["id"], problem["detail"]) == (ID, "The execution succeeded.")


async def test_a_retry_that_fails_again_has_the_status_of_the_failure() -> None:
    async with front() as it:
        failed(it)
        request = asyncio.create_task(it.problem("POST", RETRY, 502, "workflow-failed"))
        await it.stage.endpoint.arrived("RedriveExecution")
        it.stage.replies.deliver(json.dumps({"id": ID, "status": "FAILED", "error": "Again", "redrives": 1}))
        assert (await request)["error"] == "Again"


async def test_a_retry_of_an_id_that_this_service_did_not_make_is_unknown_without_a_call() -> None:
    async with front(read_foreign=True) as it:
        for id_ in ("exec-38ecfe24-32d2-443c-813f-97d797a8a2f9", "nightly-report"):
            await it.problem("POST", f"/event/{id_}/retry", 404, "unknown-execution")
        assert it.stage.endpoint.calls == []


async def test_a_retry_of_another_caller_is_unknown_without_a_call() -> None:
    async with front(caller_header="X-Caller") as it:
        await it.problem("POST", RETRY, 404, "unknown-execution", headers={"X-Caller": "another"})
        await it.problem("POST", RETRY, 500, "caller-unknown")
        assert it.stage.endpoint.calls == []


async def test_a_throttled_retry_is_unavailable() -> None:
    async with front() as it:
        failed(it, error("ThrottlingException"))
        await it.problem("POST", RETRY, 503, "throttled")


async def test_a_retry_is_an_event_stream_if_the_caller_prefers_that() -> None:
    async with front() as it:
        failed(it)
        request = asyncio.create_task(it.client.post(RETRY, headers={"Accept": "text/event-stream"}))
        await it.stage.endpoint.arrived("RedriveExecution")
        async with await request as response:
            it.stage.replies.deliver(json.dumps({"id": ID, "status": "RUNNING", "progress": {"step": 1}}))
            it.stage.replies.deliver(json.dumps({"id": ID, "status": "ABORTED", "redrives": 1}))
            text = await response.text()
        assert [line for line in text.splitlines() if line.startswith("event")] == [
            *("event: running", "event: progress", "event: problem"),
        ]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_only_a_post_retries(method: str) -> None:
    async with front() as it, it.client.request(method, RETRY) as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")


async def test_a_retry_has_an_operation_and_a_log_line_of_its_own() -> None:
    async with front() as it:
        failed(it)
        with capture_logs() as logs:
            async with it.client.post(RETRY, headers={"Prefer": "respond-async"}) as response:
                assert response.status == 202
        [line] = [line for line in logs if line["event"] == "request"]
        assert (line["route"], line["workflow"], line["execution_id"]) == ("/event/{id}/retry", "event", ID)
        labels = {"workflow": "event", "operation": "retry", "outcome": "running"}
        registry = it.app[METRICS].registry
        assert registry.get_sample_value("sync_front_requests_total", labels) == 1
        assert registry.get_sample_value("sync_front_start_execution_duration_seconds_count") == 0

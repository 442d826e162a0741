"""Response headers: timing, Retry-After, CORS and traces."""

from __future__ import annotations

import asyncio
import re

import aiohttp
import pytest

from service.bridge.durations import Durations
from service.errors import AtCapacity
from service.stepfunctions.token_bucket import Quota
from tests.support.front import ID, JSON, NAMES, front
from tests.support.step_functions import described, error

ORIGIN = "https://app.example"


def timing(response: aiohttp.ClientResponse) -> dict[str, float]:
    """Parse `Server-Timing` into milliseconds by name."""
    return {name: float(value) for name, value in re.findall(r"(\w+);dur=([\d.]+)", response.headers["Server-Timing"])}


async def test_a_result_says_where_the_time_went() -> None:
    async with front() as it:
        request = asyncio.create_task(it.client.post("/event", json=NAMES))
        execution_id = await it.stage.started()
        loop = asyncio.get_running_loop()
        loop.call_later(0.3, it.stage.reply, execution_id, {})
        spent = timing(await request)
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


def test_the_estimated_time_left_is_that_of_a_typical_execution() -> None:
    durations = Durations()
    assert durations.remaining(4) == 4  # nothing is known, so as long again
    durations.add(10)
    assert durations.remaining(4) == 6
    assert durations.remaining(13) == 3  # overdue
    for _ in range(100):
        durations.add(20)
    assert durations.typical_seconds == pytest.approx(20, rel=0.01)


async def test_a_running_execution_says_when_to_ask_again() -> None:
    async with front() as it:
        for stop in (9.0, 9.0):
            it.stage.endpoint.script("DescribeExecution", described("SUCCEEDED", output="{}", stopDate=stop))
            async with it.client.get(f"/event/{ID}") as response:
                assert response.status == 200
        async with it.client.post("/event", json=NAMES, headers={"Prefer": "respond-async"}) as response:
            assert (response.status, response.headers["Retry-After"]) == (202, "8")


async def test_retry_after_is_never_more_than_half_a_minute() -> None:
    async with front() as it:
        it.stage.endpoint.script("DescribeExecution", described("RUNNING"))  # since 1970
        async with it.client.get(f"/event/{ID}") as response:
            assert (response.status, response.headers["Retry-After"]) == (202, "30")


async def test_a_full_instance_says_when_to_retry() -> None:
    async with front(max_in_flight=1) as it:
        it.stage.endpoint.script("DescribeExecution", described("SUCCEEDED", output="{}", stopDate=9.0))
        await it.client.get(f"/event/{ID}")
        first = asyncio.create_task(it.client.post("/event", json=NAMES))
        execution_id = await it.stage.started()
        async with it.client.post("/event", json=NAMES) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "4")
        it.stage.reply(execution_id)
        await first


async def test_while_the_link_is_down_retry_after_grows_with_the_outage() -> None:
    async with front() as it:
        it.stage.channel.go_down(since=6.5)
        async with it.client.post("/event", json=NAMES) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "7")


async def test_a_read_beyond_the_quota_says_when_to_retry() -> None:
    async with front(quotas={"describe": Quota(1, 1)}) as it:
        it.stage.endpoint.script("DescribeExecution", error("ThrottlingException"))
        bucket = it.stage.record.describe_bucket
        moment = bucket._clock()
        bucket._clock = lambda: moment  # no refill, however long the request takes
        for _ in range(4):
            bucket.reserve(60)
        async with it.client.get(f"/event/{ID}") as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "4")


def test_retry_after_has_a_default_per_problem_that_an_instance_overrides() -> None:
    assert AtCapacity("full").retry_after == AtCapacity.retry_after == 1
    assert AtCapacity("full", retry_after=0.0).retry_after == 0


async def test_an_execution_joins_the_trace_of_its_request() -> None:
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    async with front() as it:
        await it.post_and_reply({}, headers=trace)
        await it.client.post("/event", json=NAMES, headers={"Prefer": "respond-async"})
        starts = [call for action, call in it.stage.endpoint.calls if action == "StartExecution"]
        root = "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1"
        assert [call.get("traceHeader") for call in starts] == [root, None]


@pytest.mark.parametrize("encoding", ["compress", "gzip, gzip", "x"])
async def test_an_unknown_content_encoding_is_rejected_with_the_supported_ones(encoding: str) -> None:
    async with front() as it:
        headers = JSON | {"Content-Encoding": encoding}
        async with it.client.post("/event", data=b"{}", headers=headers, compress=None) as response:
            body = await response.json(content_type=None)
            assert (response.status, body["type"].rpartition(":")[2]) == (415, "unsupported-encoding")
            assert response.headers["Accept-Encoding"] == "gzip, deflate, identity"
        it.stage.assert_nothing_in_flight()


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("PUT", "/event", "POST"), ("POST", f"/event/{ID}", "DELETE,GET,HEAD"), ("DELETE", "/healthz", "GET,HEAD")],
)
async def test_an_unsupported_method_is_rejected_with_the_allowed_ones(method: str, path: str, allow: str) -> None:
    async with front() as it, it.client.request(method, path) as response:
        assert (response.status, response.headers["Allow"]) == (405, allow)
        assert response.content_type == "application/problem+json"


async def test_without_configured_origins_there_are_no_cors_headers() -> None:
    async with front() as it:
        async with it.client.options("/event", headers={"Origin": ORIGIN}) as response:
            assert (response.status, response.headers["Allow"]) == (405, "POST")
        async with it.client.get("/healthz", headers={"Origin": ORIGIN}) as response:
            assert not [name for name in response.headers if name.startswith("Access-Control")]


async def test_a_preflight_from_a_configured_origin_lists_what_is_allowed() -> None:
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    async with front(cors_origins={ORIGIN}, stage_prefix="dev") as it:
        for path in ("/event", "/dev/event"):
            async with it.client.options(path, headers=preflight) as response:
                assert response.status == 204
                assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
                assert response.headers["Access-Control-Allow-Methods"] == "OPTIONS, POST"
                assert "Idempotency-Key" in response.headers["Access-Control-Allow-Headers"]
                assert response.headers["Vary"] == "Origin"
        async with it.client.options("/event", headers=preflight | {"Origin": "https://evil.example"}) as response:
            assert response.status == 204
            assert not [name for name in response.headers if name.startswith("Access-Control")]
        async with it.client.options("/event") as response:
            assert (response.status, response.headers["Allow"]) == (204, "OPTIONS, POST")


async def test_pages_of_a_configured_origin_can_read_results_and_problems() -> None:
    async with front(cors_origins={ORIGIN}) as it:
        response = await it.post_and_reply({}, headers={"Origin": ORIGIN})
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "Location" in response.headers["Access-Control-Expose-Headers"]
        async with it.client.post("/event", data=b"", headers={"Origin": ORIGIN}) as response:
            assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (415, ORIGIN)
        async with it.client.get("/nowhere", headers={"Origin": ORIGIN}) as response:
            assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (404, ORIGIN)


async def test_every_origin_can_be_allowed() -> None:
    async with front(cors_origins={"*"}) as it, it.client.get("/healthz", headers={"Origin": ORIGIN}) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "Vary" not in response.headers

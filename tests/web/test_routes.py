"""The HTTP contract over real HTTP, with the bridge on a test stage."""

from __future__ import annotations

import asyncio
import json
import weakref
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from prometheus_client import generate_latest
from structlog.testing import capture_logs
from yarl import URL

from service.web import bodies
from service.web.context import METRICS
from service.web.schema import JsonSchema
from tests.support.front import JSON, NAMES, front
from tests.support.ids import ID, IDS
from tests.support.step_functions import described, error, ok
from tests.support.within import within


class Text(str):
    """A text to which there can be weak references."""

    __slots__ = ("__weakref__",)


async def test_a_post_returns_the_workflows_output() -> None:
    async with front() as it:
        response = await it.post_and_reply({"nome completo": "Ricardo Marques"})
        assert response.status == 200
        assert response.content_type == "application/json"
        assert response.headers["Cache-Control"] == "no-store"
        body = await response.json()
        assert body == {"id": body["id"], "nome completo": "Ricardo Marques"}
        assert IDS.verify(body["id"])
        it.stage.assert_nothing_in_flight()


async def test_the_workflow_gets_the_request_body_byte_for_byte() -> None:
    text = '{ "nome" : "R\u00ed\\u0063",\n"sobrenome":"\U0001f600", "n": 1.0 }'
    async with front() as it:
        await it.post_and_reply({}, json=None, data=text.encode(), headers=JSON)
        assert json.loads(it.stage.endpoint.calls[0][1]["input"])["event"] == text


async def test_a_body_is_not_kept_while_its_request_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    read = bodies.read_event
    events: list[weakref.ref[Text]] = []

    async def note(request: web.Request, schema: JsonSchema) -> str:
        event = Text(await read(request, schema))
        events.append(weakref.ref(event))
        return event

    monkeypatch.setattr(bodies, "read_event", note)
    async with front() as it:
        posting = asyncio.create_task(it.client.post("/event", json=NAMES))
        async with within(5):
            execution_id = await it.stage.started()
            while events[0]() is not None:  # noqa: ASYNC110 - no event says that a text is gone
                await asyncio.sleep(0.01)
        it.stage.reply(execution_id, {})
        assert (await posting).status == 200


async def test_a_failed_workflow_is_a_bad_gateway_with_the_errors_name_only() -> None:
    async with front() as it:
        request = asyncio.create_task(it.problem("POST", "/event", 502, "workflow-failed", json=NAMES))
        execution_id = await it.stage.started()
        it.stage.replies.deliver(
            json.dumps({"id": execution_id, "status": "FAILED", "error": "Broken", "cause": "private"})
        )
        problem = await request
        assert (problem["id"], problem["error"]) == (execution_id, "Broken")
        assert "private" not in str(problem)


async def test_a_wait_that_ends_first_is_accepted_with_a_location() -> None:
    async with front(response_timeout=0.05) as it, it.client.post("/event", json=NAMES) as response:
        body = await response.json()
        assert response.status == 202
        assert body == {"id": body["id"], "status": "RUNNING"}
        assert response.headers["Location"] == f"/event/{body['id']}"
        assert int(response.headers["Retry-After"]) > 0
        assert "Preference-Applied" not in response.headers


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"nope",
        b"\xff\xfe",
        b'{"nome": "\xe9"}',
        b'\xef\xbb\xbf{"nome": "a", "sobrenome": "b"}',
        b'{"nome": "\\ud800", "sobrenome": "b"}',
        b'{"nome": NaN, "sobrenome": "b"}',
        b'{"nome": "a", "sobrenome": ' + b"[" * 2000 + b"]" * 2000 + b"}",
        b'{"nome": "a", "sobrenome": ' + b"[" * 300 + b"]" * 300 + b"}",
    ],
    ids=["empty", "truncated", "word", "utf-16", "latin-1", "bom", "lone surrogate", "nan", "very deep", "deep"],
)
async def test_a_body_that_is_not_json_is_a_bad_request(data: bytes) -> None:
    async with front() as it:
        await it.problem("POST", "/event", 400, "malformed-json", data=data, headers=JSON)
        assert it.stage.endpoint.calls == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "jsonx/json"])
async def test_a_content_type_that_is_not_json_is_rejected(kind: str) -> None:
    async with front() as it:
        await it.problem("POST", "/event", 415, "not-json", data=b"{}", headers={"Content-Type": kind})


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/cloudevents+json"]
)
async def test_json_content_types_are_accepted(kind: str) -> None:
    async with front() as it:
        response = await it.post_and_reply({}, json=None, data=json.dumps(NAMES), headers={"Content-Type": kind})
        assert response.status == 200


async def test_a_schema_violation_names_the_place_and_never_the_value() -> None:
    async with front() as it:
        body = {"nome": "", "sobrenome": {"private": 1}}
        problem = await it.problem("POST", "/event", 422, "schema-violation", json=body)
        assert {fault["pointer"] for fault in problem["errors"]} == {"/nome", "/sobrenome"}
        assert "private" not in str(problem)
        assert it.stage.endpoint.calls == []


@pytest.mark.parametrize("size", [256 * 1024 - 20, 256 * 1024, 900_000])
async def test_a_body_larger_than_an_executions_input_is_too_large(size: int) -> None:
    async with front() as it:
        await it.problem("POST", "/event", 413, "body-too-large", json=NAMES | {"more": "x" * size})
        it.stage.assert_nothing_in_flight()


async def test_a_body_that_does_not_arrive_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_TIMEOUT_S", 0.05)

    async def never() -> AsyncIterator[bytes]:
        yield b'{"nome": '
        await asyncio.Event().wait()

    async with front() as it:
        await it.problem("POST", "/event", 408, "body-too-slow", data=never(), headers=JSON)


async def test_every_temporary_failure_has_a_retry_after() -> None:
    async with front(timeout=2) as it:
        it.stage.endpoint.script("StartExecution", error("ThrottlingException"))
        await it.problem("POST", "/event", 503, "throttled", json=NAMES)
        it.stage.endpoint.script("StartExecution", error("AccessDeniedException"))
        await it.problem("POST", "/event", 503, "refused", json=NAMES)
        it.stage.channel.go_down(since=60)
        await it.problem("POST", "/event", 503, "link-down", json=NAMES)
        it.stage.bridges.release()
        await it.problem("POST", "/event", 503, "draining", json=NAMES)


async def test_a_request_above_the_limit_is_rejected() -> None:
    async with front(max_in_flight=1) as it:
        first = asyncio.create_task(it.client.post("/event", json=NAMES))
        execution_id = await it.stage.started()
        await it.problem("POST", "/event", 503, "at-capacity", json=NAMES)
        it.stage.reply(execution_id)
        assert (await first).status == 200


@pytest.mark.parametrize(
    ("record", "status", "slug"),
    [
        ({"status": "FAILED", "error": "Broken", "cause": "private"}, 502, "workflow-failed"),
        ({"status": "ABORTED"}, 502, "workflow-aborted"),
        ({"status": "TIMED_OUT"}, 504, "workflow-timed-out"),
    ],
)
async def test_an_execution_without_a_result_can_be_read_as_a_problem(
    record: dict[str, str], status: int, slug: str
) -> None:
    async with front() as it:
        it.stage.endpoint.script("DescribeExecution", described(**record))
        problem = await it.problem("GET", f"/event/{ID}", status, slug)
        assert problem["id"] == ID
        assert "private" not in str(problem)


async def test_a_result_can_be_read_later() -> None:
    async with front() as it:
        it.stage.endpoint.script("DescribeExecution", described("SUCCEEDED", output='{"a": 1}'))
        async with it.client.get(f"/event/{ID}") as response:
            assert (response.status, await response.json()) == (200, {"id": ID, "a": 1})
        async with it.client.head(f"/event/{ID}") as response:
            assert (response.status, await response.read()) == (200, b"")


async def test_a_running_execution_is_accepted_again() -> None:
    async with front() as it:
        it.stage.endpoint.script("DescribeExecution", described("RUNNING"))
        async with it.client.get(f"/event/{ID}") as response:
            assert (response.status, await response.json()) == (202, {"id": ID, "status": "RUNNING"})
            assert response.headers["Location"] == f"/event/{ID}"


async def test_an_unknown_execution_is_not_found() -> None:
    async with front() as it:
        it.stage.endpoint.script("DescribeExecution", error("ExecutionDoesNotExist"))
        await it.problem("GET", f"/event/{ID}", 404, "unknown-execution")


async def test_a_delete_stops_the_execution() -> None:
    async with front() as it:
        it.stage.endpoint.script("StopExecution", ok(stopDate=1.0))
        it.stage.endpoint.script("DescribeExecution", described("ABORTED"))
        async with it.client.delete(f"/event/{ID}") as response:
            assert (response.status, await response.read()) == (204, b"")
        assert it.stage.endpoint.count("StopExecution") == 1
        metrics = generate_latest(it.app[METRICS].registry).decode()
        assert 'sync_front_requests_total{operation="stop",outcome="stopped",workflow="event"} 1.0' in metrics


async def test_an_unknown_path_and_a_wrong_method_are_problems_too() -> None:
    async with front() as it:
        async with it.client.get("/elsewhere") as response:
            assert (response.status, response.content_type) == (404, "application/problem+json")
            assert (await response.json(content_type=None))["title"] == "Not Found"
        async with it.client.put("/event", json=NAMES) as response:
            assert (response.status, response.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/%ff%fe", "/%ed%a0%80", "/event/%00", "/event/%ff", "/" + "x" * 5000])
async def test_no_path_causes_an_internal_error(path: str) -> None:
    async with front() as it, it.client.get(URL(path, encoded=True)) as response:
        assert (response.status, response.content_type) == (404, "application/problem+json")


async def test_the_stage_prefix_is_accepted_and_appears_in_locations() -> None:
    async with front(stage_prefix="dev", response_timeout=0.01) as it:
        it.stage.endpoint.script("DescribeExecution", described("SUCCEEDED", output="{}"))
        for path in ("/dev/event", "/event"):
            async with it.client.post(path, json=NAMES) as response:
                location = response.headers["Location"]
                assert location.startswith("/dev/event/exec-")
            async with it.client.get(location) as response:
                assert response.status == 200


async def test_health_and_readiness_are_separate() -> None:
    async with front(ready="link down") as it:
        async with it.client.get("/healthz") as response:
            assert (response.status, await response.json()) == (200, {"status": "alive"})
        async with it.client.get("/readyz") as response:
            assert (response.status, await response.json()) == (503, {"status": "link down"})
    async with front() as it, it.client.get("/readyz") as response:
        assert (response.status, await response.json()) == (200, {"status": "ready"})


async def test_a_caller_that_leaves_frees_its_slot_at_once() -> None:
    async with front() as it:
        request = asyncio.create_task(it.client.post("/event", json=NAMES))
        await it.stage.started()
        with capture_logs() as logs:
            request.cancel()
            await asyncio.wait([request], timeout=5)
            await it.stage.bridges.drain(5)
        it.stage.assert_nothing_in_flight()
        assert [(line["status"], line["problem"]) for line in logs] == [(499, "client-disconnected")]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/event", "POST"),
        ("PUT", "/event", "POST"),
        ("POST", f"/event/{ID}", "DELETE,GET,HEAD"),
        ("DELETE", "/healthz", "GET,HEAD"),
    ],
)
async def test_an_unsupported_method_is_rejected_with_the_allowed_ones(method: str, path: str, allow: str) -> None:
    async with front() as it, it.client.request(method, path) as response:
        assert (response.status, response.headers["Allow"]) == (405, allow)
        assert response.content_type == "application/problem+json"
        assert (await response.json())["detail"] == f"Use one of these methods: {allow.replace(',', ', ')}."


@pytest.mark.parametrize("path", ["/event/", "/healthz/", "/dev/event/", "/event//", "/nowhere/"])
async def test_a_slash_at_the_end_of_a_path_is_not_found_and_mentioned(path: str) -> None:
    async with front(stage_prefix="dev") as it, it.client.post(path, json=NAMES) as response:
        problem = await response.json()
        assert (response.status, problem["detail"]) == (404, "Try the path without the slash at its end.")


async def test_metrics_are_in_the_text_format_of_prometheus() -> None:
    async with front() as it, it.client.get("/metrics") as response:
        assert response.headers["Content-Type"] == "text/plain; version=1.0.0; charset=utf-8"
